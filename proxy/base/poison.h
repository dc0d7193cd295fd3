// Tells AddressSanitizer which parts of recycled memory (blocks, pool chunks) nobody owns at the moment, so that a use after free or
// an overflow inside of it is found like one of the allocator's. Nothing in builds without it.
#ifndef BASE_POISON_H
#define BASE_POISON_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define POISON_ENABLED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISON_ENABLED 1
#endif
#endif
#ifndef POISON_ENABLED
#define POISON_ENABLED 0
#endif

#if POISON_ENABLED
#include <sanitizer/asan_interface.h>
#endif

// Whole units of 8 bytes are poisoned exactly; `at` is aligned to 8.
static inline void memory_poison(void *at, size_t size) {
#if POISON_ENABLED
    __asan_poison_memory_region(at, size);
#else
    (void)at;
    (void)size;
#endif
}

static inline void memory_unpoison(void *at, size_t size) {
#if POISON_ENABLED
    __asan_unpoison_memory_region(at, size);
#else
    (void)at;
    (void)size;
#endif
}

#endif
