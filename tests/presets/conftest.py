# SPDX-License-Identifier: GPL-2.0-or-later
"""Settings of the tests of presets."""

from hypothesis import HealthCheck, settings

# The machine that runs the tests may be busy with other things: no stopwatches.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")
