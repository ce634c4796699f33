"""Log drivers other than json-file, and what goes beyond its defaults: imported where wanted."""
