"""The onboarding pages in the popup: sign-up, Embedded Signup, the way back."""
