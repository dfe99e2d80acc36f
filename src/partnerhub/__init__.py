"""Partner Hub: a WhatsApp Business solution provider that you run yourself."""
