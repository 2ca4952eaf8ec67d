"""Every family on one leak-free split with equal time, beside what it must beat; a folder that can be gone on with."""
