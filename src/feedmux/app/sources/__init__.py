"""Where a gateway's topics come from: venues, RabbitMQ, other nodes."""
