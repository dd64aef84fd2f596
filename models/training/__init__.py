"""Scripts that label, train, export and measure the project's own networks; never needed inside OBS."""
