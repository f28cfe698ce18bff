// Class indices as kernels hand them to each other: numbers of 32 bits.

// What stands where a position is ignored.
enum : unsigned int { IGNORED = 0xffffffffu };
