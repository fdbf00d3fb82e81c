"""Pose: from pixels to the landmarks of a video's signer."""
