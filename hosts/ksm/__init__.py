"""KSM, kernel same-page merging: what a host saves by it, and how hard it looks for it."""
