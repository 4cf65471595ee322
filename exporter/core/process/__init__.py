"""What a process needs beside its work: supervised threads, signals, memory, and messages that do not repeat."""
