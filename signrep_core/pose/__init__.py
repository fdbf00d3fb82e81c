"""Video to landmarks: pose backends, one signer followed through a video."""
