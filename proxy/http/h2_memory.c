// The allocator that nghttp2 is given: free lists of pieces by size, so that a warm request calls no allocator; and the scratch room in which heads
// are made ready for it. One a worker, like the sources of blocks and pools; not thread-safe. A piece remembers its class in front of itself.
#include "http/h2_memory.h"

#include "base/check.h"
#include "base/poison.h"
#include "base/pool.h"
#include "http/h2_private.h"

#include <assert.h>
#include <stdlib.h>

// In front of what is handed out, which stays aligned for any object.
struct h2_piece {
    struct h2_piece *next; // free list only
    uint32_t class;        // H2_CLASSES: too large for a list
    uint32_t size;         // of such a large one
};

static_assert(sizeof(struct h2_piece) % _Alignof(max_align_t) == 0, "what follows is aligned for any object");
static_assert((H2_STEPPED_MAX << 3) == H2_PIECE_MAX, "three classes above the stepped ones");

static uint32_t class_of(size_t size) {
    if (size <= H2_STEPPED_MAX)
        return size == 0 ? 0 : (uint32_t)(size - 1) / H2_STEP;
    uint32_t class = H2_STEPPED_MAX / H2_STEP;
    for (size_t largest = 2 * H2_STEPPED_MAX; largest < size; largest *= 2)
        class ++;
    return class;
}

static uint32_t size_of_class(uint32_t class) {
    const uint32_t stepped = H2_STEPPED_MAX / H2_STEP;
    return class < stepped ? (class + 1) * H2_STEP : H2_STEPPED_MAX << (class - stepped + 1);
}

static struct h2_piece *piece_of(void *at) {
    return (struct h2_piece *)at - 1;
}

static size_t piece_size(const struct h2_piece *piece) {
    return piece->class == H2_CLASSES ? piece->size : size_of_class(piece->class);
}

// The peer chooses such sizes (within nghttp2's limits): they may fail.
static void *allocate_large(struct h2_memory *memory, size_t size) {
    if (size > UINT32_MAX)
        return NULL;
    struct h2_piece *piece = try_alloc(sizeof(*piece) + size);
    if (piece == NULL)
        return NULL;
    memory->allocations++;
    memory->pieces_used++;
    memory->bytes_used += size;
    *piece = (struct h2_piece){.class = H2_CLASSES, .size = (uint32_t)size};
    return piece + 1;
}

static void *allocate(size_t size, void *user) {
    struct h2_memory *memory = user;
    if (size > H2_PIECE_MAX)
        return allocate_large(memory, size);
    uint32_t class = class_of(size);
    struct h2_list *list = &memory->lists[class];
    struct h2_piece *piece = list->free;
    memory->pieces_used++;
    memory->bytes_used += size_of_class(class);
    if (piece != NULL) {
        list->free = piece->next;
        list->free_count--;
        memory_unpoison(piece + 1, size);
        return piece + 1;
    }
    memory->allocations++;
    piece = alloc_or_abort(sizeof(*piece) + size_of_class(class));
    piece->class = class;
    size_t used = (size + 7) & ~(size_t)7;
    memory_poison((char *)(piece + 1) + used, size_of_class(class) - used);
    return piece + 1;
}

static void release(void *at, void *user) {
    struct h2_memory *memory = user;
    if (at == NULL)
        return;
    struct h2_piece *piece = piece_of(at);
    CHECK(memory->pieces_used > 0);
    memory->pieces_used--;
    memory->bytes_used -= piece_size(piece);
    if (piece->class == H2_CLASSES) {
        free(piece);
        return;
    }
    struct h2_list *list = &memory->lists[piece->class];
    if (list->free_count >= list->free_max) {
        memory_unpoison(at, size_of_class(piece->class));
        free(piece);
        return;
    }
    memory_poison(at, size_of_class(piece->class));
    piece->next = list->free;
    list->free = piece;
    list->free_count++;
}

static void *allocate_zeroed(size_t count, size_t size, void *user) {
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    void *at = allocate(total, user);
    if (at != NULL)
        memset(at, 0, total);
    return at;
}

static void *reallocate(void *at, size_t size, void *user) {
    if (at == NULL)
        return allocate(size, user);
    size_t before = piece_size(piece_of(at));
    void *grown = allocate(size, user);
    if (grown == NULL)
        return NULL;
    memory_unpoison(at, before);
    memcpy(grown, at, before < size ? before : size);
    release(at, user);
    return grown;
}

static void make_lower_names(struct h2_memory *memory) {
    for (enum field_id id = FIELD_OTHER; id < FIELD_COUNT; id++) {
        struct bytes name = field_name(id);
        char *lower = copy_text_or_abort(name);
        for (size_t i = 0; i < name.len; i++)
            lower[i] = ascii_lower(lower[i]);
        memory->lower_names[id] = bytes_from(lower, name.len);
    }
}

struct h2_memory *h2_memory_create(const nanoseconds *clock) {
    struct h2_memory *memory = alloc_zeroed_or_abort(1, sizeof(*memory));
    memory->clock = clock;
    memory->allocator = (nghttp2_mem){
        .mem_user_data = memory,
        .malloc = allocate,
        .free = release,
        .calloc = allocate_zeroed,
        .realloc = reallocate,
    };
    for (uint32_t class = 0; class < H2_CLASSES; class ++)
        memory->lists[class].free_max = H2_LIST_BYTES / size_of_class(class);
    CHECK(nghttp2_session_callbacks_new(&memory->callbacks) == 0);
    h2_set_head_callbacks(memory->callbacks);
    h2_set_receive_callbacks(memory->callbacks);
    h2_set_send_callbacks(memory->callbacks);
    make_lower_names(memory);
    return memory;
}

void h2_memory_trim(struct h2_memory *memory) {
    for (uint32_t class = 0; class < H2_CLASSES; class ++) {
        while (memory->lists[class].free != NULL) {
            struct h2_piece *piece = memory->lists[class].free;
            memory->lists[class].free = piece->next;
            memory_unpoison(piece + 1, size_of_class(class));
            free(piece);
        }
        memory->lists[class].free_count = 0;
    }
}

void h2_memory_set_short(struct h2_memory *memory, bool is_short) {
    memory->is_short = is_short;
}

uint64_t h2_memory_bytes_used(const struct h2_memory *memory) {
    return memory->bytes_used;
}

uint64_t h2_memory_bytes_kept(const struct h2_memory *memory) {
    uint64_t bytes = 0;
    for (uint32_t class = 0; class < H2_CLASSES; class ++)
        bytes += (uint64_t)memory->lists[class].free_count * size_of_class(class);
    return bytes;
}

uint64_t h2_memory_windows_grown(const struct h2_memory *memory) {
    return memory->windows_grown;
}

uint64_t h2_memory_windows_refused(const struct h2_memory *memory) {
    return memory->windows_refused;
}

void h2_memory_destroy(struct h2_memory *memory) {
    CHECK(memory->pieces_used == 0);
    CHECK(memory->windows_grown == 0);
    h2_memory_trim(memory);
    for (enum field_id id = FIELD_OTHER; id < FIELD_COUNT; id++) {
        void *lower;
        memcpy(&lower, &memory->lower_names[id].at, sizeof(lower));
        free(lower);
    }
    nghttp2_session_callbacks_del(memory->callbacks);
    free(memory->entries);
    free(memory->text);
    free(memory);
}

nghttp2_nv *h2_memory_entries(struct h2_memory *memory, uint32_t count) {
    if (memory->entries_capacity < count) {
        free(memory->entries);
        memory->entries_capacity = count < 64 ? 64 : 2 * count;
        memory->entries = alloc_zeroed_or_abort(memory->entries_capacity, sizeof(*memory->entries));
    }
    return memory->entries;
}

char *h2_memory_text(struct h2_memory *memory, size_t size) {
    if (memory->text_capacity < size) {
        free(memory->text);
        memory->text_capacity = size < 4096 ? 4096 : 2 * size;
        memory->text = alloc_or_abort(memory->text_capacity);
    }
    return memory->text;
}
