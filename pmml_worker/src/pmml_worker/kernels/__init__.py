"""The few hot loops in C++: plain arrays in and out, the interpreter's lock released while they run."""
