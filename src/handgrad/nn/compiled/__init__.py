"""Plans: whole training steps of a network in one native call."""
