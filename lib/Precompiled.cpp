// The precompiled header needs one translation unit that owns it; this is that unit.
