"""Programs that measure: accuracy, the paper's tables, real repeats, speed; and the methods compared."""
