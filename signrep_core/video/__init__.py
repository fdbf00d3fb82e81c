"""Pixels and time: decode frames on the common timeline, damage, image folders, crop boxes, cropping, encoding."""
