"""Drafts: descriptions for products that have none, each with what a person must know before it goes out."""
