"""What any program needs: checked values and arrays, files, downloads, a cache, other programs."""
