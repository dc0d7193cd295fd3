// The memory of a worker's HTTP/2 codecs: free lists for nghttp2, and what is summed up over all connections. For the files of h2_codec alone; what others may do
// with it stands in h2_codec.h.
#ifndef HTTP_H2_MEMORY_H
#define HTTP_H2_MEMORY_H

#include "base/clock.h"
#include "http/headers.h"

#include <nghttp2/nghttp2.h>

// Sizes that nghttp2 asks for over and over (streams, frames, HPACK entries) come from lists of pieces of one size: steps of 32 bytes up to 512,
// then powers of two up to 4,096. What is larger is the allocator's: it belongs to connections, not to requests.
#define H2_STEP 32u
#define H2_STEPPED_MAX 512u
#define H2_PIECE_MAX 4096u
#define H2_CLASSES (H2_STEPPED_MAX / H2_STEP + 3)

// Each list keeps that much for later: about what the streams of a few busy connections hold; with all lists full 2.5 MB.
#define H2_LIST_BYTES 131072

struct h2_piece;

// Pieces of one class that are kept for later.
struct h2_list {
    struct h2_piece *free;
    uint32_t free_count;
    uint32_t free_max;
};

struct h2_memory {
    const nanoseconds *clock;
    nghttp2_mem allocator;
    nghttp2_session_callbacks *callbacks; // the same for all sessions
    struct h2_list lists[H2_CLASSES];
    uint64_t allocations;     // that went to the system's allocator
    uint64_t pieces_used;     // handed out and not yet back
    uint64_t bytes_used;      // in them
    bool is_short;            // the process is to use less
    uint64_t windows_grown;   // sum over open streams of what their windows have grown by
    uint64_t windows_refused; // times that it stood at its bound
    // Names of known fields as HTTP/2 has them.
    struct bytes lower_names[FIELD_COUNT];
    // Where heads are made ready; nothing of it lives longer than a call.
    nghttp2_nv *entries;
    uint32_t entries_capacity;
    char *text;
    size_t text_capacity;
};

// Room for `count` entries, and for `size` bytes of text. What was there before is lost.
nghttp2_nv *h2_memory_entries(struct h2_memory *memory, uint32_t count);
char *h2_memory_text(struct h2_memory *memory, size_t size);

#endif
