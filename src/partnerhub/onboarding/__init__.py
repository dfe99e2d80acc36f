"""How a client comes to a partner: the link, sign-up, Embedded Signup, permission, the way back."""
