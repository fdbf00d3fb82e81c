"""Pixels and time: which frames a video has, damage, image folders, crop boxes, cropping, encoding."""
