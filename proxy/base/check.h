// Assertions of our own invariants, on in every build. Never for what a peer sends: that is checked and answered.
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#define CHECK(condition) (__builtin_expect(!(condition), 0) ? check_failed(#condition, __FILE__, __LINE__) : (void)0)

// Prints the broken invariant with its place to standard error and aborts.
_Noreturn void check_failed(const char *condition, const char *file, int line);

// The struct that embeds `member` at `pointer`.
#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
