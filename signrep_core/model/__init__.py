"""Encoder, decoder, discriminator, losses, and SignRep that joins them."""
