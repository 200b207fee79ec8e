"""batchvet: whose dip is it? Pixel-level vetting of TESS Objects of Interest."""

__version__ = "0.1.0"
