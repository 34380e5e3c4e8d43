"""The daemon's core run whole in virtual time, over and over, with trouble that a seed decides."""
