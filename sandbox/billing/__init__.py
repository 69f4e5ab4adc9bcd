"""What happens between resources: payments, invoices, the life of a subscription."""
