"""What every room stands on: errors, registry, files, progress, cache. It knows no room."""
