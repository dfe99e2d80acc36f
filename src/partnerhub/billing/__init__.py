"""What follows from a balance: for now, telling the owners when it runs low."""
