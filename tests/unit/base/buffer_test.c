// The byte queue: what is copied and what is referenced, growth of its ring, moving between buffers, and that an empty one holds nothing.
#include "base/buffer.h"

#include "base/rng.h"

#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct fixture {
    struct block_source source;
    struct buffer buffer;
    struct buffer other;
};

static void begin(struct fixture *fixture) {
    block_source_init(&fixture->source, 64);
    buffer_init(&fixture->buffer, &fixture->source);
    buffer_init(&fixture->other, &fixture->source);
}

static void assert_holds_nothing(const struct buffer *buffer) {
    assert_true(buffer_is_empty(buffer));
    assert_int_equal(buffer->count, 0);
    assert_null(buffer->tail);
    assert_ptr_equal(buffer->segments, buffer->inlined);
}

static void finish(struct fixture *fixture) {
    buffer_dispose(&fixture->buffer);
    buffer_dispose(&fixture->other);
    assert_holds_nothing(&fixture->buffer);
    assert_int_equal(fixture->source.used, 0);
    assert_int_equal(fixture->source.rings_used, 0);
    block_source_dispose(&fixture->source);
}

// A block that holds the bytes 0, 1, 2 ... of a sequence beginning at `first`.
static struct block *block_of(struct fixture *fixture, size_t length, unsigned first) {
    struct block *block = block_get(&fixture->source);
    for (size_t i = 0; i < length; i++)
        block->bytes[i] = (char)(first + i);
    block->filled = (uint32_t)length;
    return block;
}

static void read_all(const struct buffer *buffer, char *into) {
    struct iovec iov[2000];
    size_t length;
    int count = buffer_iovec(buffer, iov, 2000, &length);
    assert_int_equal(length, buffer->length);
    assert_int_equal(count, buffer->count);
    for (int i = 0; i < count; i++) {
        assert_true(iov[i].iov_len > 0);
        memcpy(into, iov[i].iov_base, iov[i].iov_len);
        into += iov[i].iov_len;
    }
}

static void assert_text(const struct buffer *buffer, const char *text) {
    assert_int_equal(buffer->length, strlen(text));
    char *all = malloc(buffer->length + 1);
    read_all(buffer, all);
    assert_memory_equal(all, text, buffer->length);
    free(all);
}

static void texts_share_a_block_and_a_segment(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    buffer_append(&f.buffer, BYTES("HTTP/1.1 200 OK\r\n"));
    buffer_append(&f.buffer, BYTES_NONE);
    buffer_append(&f.buffer, BYTES("\r\n"));
    assert_text(&f.buffer, "HTTP/1.1 200 OK\r\n\r\n");
    assert_int_equal(f.buffer.count, 1);
    assert_int_equal(f.source.used, 1);
    assert_int_equal(buffer_front(&f.buffer).len, 19);
    finish(&f);
}

static void a_long_text_fills_one_block_after_the_other(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    size_t length = BLOCK_CAPACITY * 2 + 100;
    char *text = malloc(length);
    for (size_t i = 0; i < length; i++)
        text[i] = (char)(i * 31);
    buffer_append(&f.buffer, BYTES("head"));
    buffer_append(&f.buffer, bytes_from(text, length));
    assert_int_equal(f.buffer.length, length + 4);
    assert_int_equal(f.buffer.count, 3);
    assert_int_equal(buffer_front(&f.buffer).len, BLOCK_CAPACITY);
    buffer_consume(&f.buffer, 4);
    char *back = malloc(length);
    read_all(&f.buffer, back);
    assert_memory_equal(back, text, length);
    free(text);
    free(back);
    finish(&f);
}

static void an_empty_buffer_holds_nothing(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    assert_holds_nothing(&f.buffer);
    assert_int_equal(buffer_front(&f.buffer).len, 0);
    buffer_append(&f.buffer, BYTES("text"));
    buffer_consume(&f.buffer, 4);
    assert_holds_nothing(&f.buffer);
    assert_int_equal(f.source.used, 0);
    buffer_append(&f.buffer, BYTES("text"));
    buffer_clear(&f.buffer);
    assert_holds_nothing(&f.buffer);
    buffer_append(&f.buffer, BYTES("usable"));
    assert_text(&f.buffer, "usable");
    finish(&f);
}

static void pieces_up_to_the_limit_are_copied(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    struct block *block = block_of(&f, 4000, 0);
    buffer_append_piece(&f.buffer, block, bytes_from(block->bytes, BUFFER_COPY_MAX));
    assert_int_equal(block->references, 1);
    buffer_append_piece(&f.buffer, block, bytes_from(block->bytes + 1000, 0));
    assert_int_equal(block->references, 1);
    assert_int_equal(f.buffer.length, BUFFER_COPY_MAX);
    char copy[BUFFER_COPY_MAX];
    read_all(&f.buffer, copy);
    assert_memory_equal(copy, block->bytes, BUFFER_COPY_MAX);
    block_unref(block);
    finish(&f);
}

static void longer_pieces_are_referenced_where_they_lie(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    struct block *block = block_of(&f, 4000, 0);
    buffer_append_piece(&f.buffer, block, bytes_from(block->bytes + 10, BUFFER_COPY_MAX + 1));
    assert_int_equal(block->references, 2);
    assert_ptr_equal(buffer_front(&f.buffer).at, block->bytes + 10);
    buffer_append_piece(&f.buffer, block, bytes_from(block->bytes + 2000, 2000));
    assert_int_equal(block->references, 3);
    block_unref(block);
    assert_int_equal(f.source.used, 1);
    buffer_consume(&f.buffer, BUFFER_COPY_MAX + 1);
    assert_int_equal(block->references, 1);
    buffer_consume(&f.buffer, 1999);
    assert_int_equal(f.source.used, 1);
    buffer_consume(&f.buffer, 1);
    assert_int_equal(f.source.used, 0);
    finish(&f);
}

// A sender of many short pieces, each read into a block of its own, must not pin a block with each of them.
static void many_short_pieces_pin_few_blocks(void **state) {
    (void)state;
    enum { PIECES = 100, PIECE = 600 };
    struct fixture f;
    begin(&f);
    for (int i = 0; i < PIECES; i++) {
        struct block *block = block_of(&f, PIECE, 0);
        buffer_append_piece(&f.buffer, block, bytes_from(block->bytes, PIECE));
        block_unref(block);
    }
    assert_int_equal(f.buffer.length, PIECES * PIECE);
    assert_true(f.source.used <= BUFFER_SEGMENTS_INLINE + PIECES * PIECE / BLOCK_CAPACITY + 1);
    buffer_clear(&f.buffer);
    assert_int_equal(f.source.used, 0);
    finish(&f);
}

static void a_piece_behind_the_last_one_makes_it_longer(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    struct block *block = block_of(&f, 4000, 0);
    buffer_append_piece(&f.buffer, block, bytes_from(block->bytes, 1000));
    buffer_append_piece(&f.buffer, block, bytes_from(block->bytes + 1000, 10)); // short, but free
    buffer_append_piece(&f.buffer, block, bytes_from(block->bytes + 1010, 990));
    assert_int_equal(f.buffer.count, 1);
    assert_int_equal(block->references, 2);
    assert_int_equal(buffer_front(&f.buffer).len, 2000);
    block_unref(block);
    finish(&f);
}

static void texts_between_pieces_lie_in_one_block_of_the_buffers_own(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    struct block *block = block_of(&f, 16000, 0);
    for (size_t i = 0; i < 6; i++) {
        buffer_append(&f.buffer, BYTES("frame"));
        buffer_append_piece(&f.buffer, block, bytes_from(block->bytes + 2600 * i, BUFFER_COPY_GATHERED_MAX + 1));
    }
    assert_int_equal(f.buffer.count, 12);
    assert_int_equal(f.source.used, 2);
    assert_int_equal(block->filled, 16000); // nobody else's block is written to
    block_unref(block);
    finish(&f);
}

static void nothing_is_written_behind_a_referenced_piece(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    struct block *block = block_of(&f, 1000, 0);
    buffer_append_piece(&f.buffer, block, bytes_from(block->bytes, 1000));
    buffer_append(&f.buffer, BYTES("text"));
    assert_int_equal(block->filled, 1000);
    assert_int_equal(f.buffer.count, 2);
    block_unref(block);
    finish(&f);
}

static void the_ring_grows_in_order_and_goes_when_empty(void **state) {
    (void)state;
    enum { LONG = BUFFER_COPY_GATHERED_MAX + 252 };
    struct fixture f;
    begin(&f);
    struct block *block = block_of(&f, 15000, 0);
    // Turns the ring first, so that growth has to straighten it.
    for (int i = 0; i < 3; i++) {
        buffer_append_piece(&f.buffer, block, bytes_from(block->bytes + i * 600, 300));
        if (i < 2)
            buffer_consume(&f.buffer, 150);
    }
    buffer_consume(&f.buffer, 500);
    size_t kept = f.buffer.length;
    unsigned pieces = 0;
    for (; pieces < 200; pieces++)
        buffer_append_piece(&f.buffer, block, bytes_from(block->bytes + pieces % 5 * 2500, LONG));
    assert_int_equal(f.buffer.length, kept + 200 * LONG);
    assert_ptr_not_equal(f.buffer.segments, f.buffer.inlined);
    assert_true(f.buffer.capacity >= 200);
    buffer_consume(&f.buffer, kept);
    for (unsigned i = 0; i < pieces; i++) {
        assert_memory_equal(buffer_front(&f.buffer).at, block->bytes + i % 5 * 2500, LONG);
        buffer_consume(&f.buffer, LONG);
    }
    assert_holds_nothing(&f.buffer);
    assert_int_equal(f.source.rings_used, 0);
    block_unref(block);
    finish(&f);
}

static void moderate_growth_takes_no_new_memory_once_warm(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    struct block *block = block_of(&f, 16000, 0);
    for (int round = 0; round < 50; round++) {
        for (size_t i = 0; i < 16; i++) {
            buffer_append(&f.buffer, BYTES("head"));
            buffer_append_piece(&f.buffer, block, bytes_from(block->bytes + 1000 * i, 900));
        }
        assert_int_equal(f.source.rings_used, 1);
        assert_int_equal(f.source.rings_used + f.source.rings_free, 1);
        assert_int_equal(f.source.used + f.source.free_count, 2);
        buffer_consume(&f.buffer, f.buffer.length);
    }
    block_unref(block);
    finish(&f);
}

static void reserved_room_is_contiguous_near_the_end_of_a_block(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    char *at = buffer_reserve(&f.buffer, BLOCK_CAPACITY);
    memset(at, 'a', BLOCK_CAPACITY - 10);
    buffer_commit(&f.buffer, BLOCK_CAPACITY - 10);
    at = buffer_reserve(&f.buffer, 10); // just fits
    memset(at, 'b', 10);
    buffer_commit(&f.buffer, 10);
    assert_int_equal(f.buffer.count, 1);
    assert_int_equal(f.source.used, 1);
    at = buffer_reserve(&f.buffer, 1); // a new block
    *at = 'c';
    buffer_commit(&f.buffer, 1);
    assert_int_equal(f.buffer.count, 2);
    buffer_append(&f.buffer, BYTES("d"));
    assert_int_equal(f.buffer.count, 2);
    at = buffer_reserve(&f.buffer, BLOCK_CAPACITY - 1); // one byte too much for what is left
    memset(at, 'e', BLOCK_CAPACITY - 1);
    buffer_commit(&f.buffer, BLOCK_CAPACITY - 1);
    assert_int_equal(f.buffer.count, 3);
    buffer_consume(&f.buffer, BLOCK_CAPACITY);
    assert_memory_equal(buffer_front(&f.buffer).at, "cd", 2);
    assert_int_equal(buffer_front(&f.buffer).len, 2);
    finish(&f);
}

static void a_reservation_may_be_given_up_or_used_in_part(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    buffer_reserve(&f.buffer, 100);
    buffer_commit(&f.buffer, 0);
    assert_holds_nothing(&f.buffer);
    memcpy(buffer_reserve(&f.buffer, 100), "one", 3);
    buffer_commit(&f.buffer, 3);
    buffer_reserve(&f.buffer, 100);
    buffer_commit(&f.buffer, 0);
    buffer_append(&f.buffer, BYTES("two"));
    assert_text(&f.buffer, "onetwo");
    assert_int_equal(f.buffer.count, 1);
    finish(&f);
}

static void consuming_goes_over_segments_and_stops_inside(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    struct block *block = block_of(&f, 3000, 0);
    buffer_append(&f.buffer, BYTES("head"));
    buffer_append_piece(&f.buffer, block, bytes_from(block->bytes, 1000));
    buffer_append_piece(&f.buffer, block, bytes_from(block->bytes + 2000, 1000));
    block_unref(block);
    buffer_consume(&f.buffer, 0);
    buffer_consume(&f.buffer, 4 + 1000 + 1);
    assert_int_equal(f.buffer.count, 1);
    assert_int_equal(buffer_front(&f.buffer).len, 999);
    assert_ptr_equal(buffer_front(&f.buffer).at, block->bytes + 2001);
    finish(&f);
}

static void texts_that_pass_through_need_no_more_than_one_block_at_a_time(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    struct block *block = block_of(&f, 10000, 0);
    // Never empty: a piece always follows. Texts of 16 blocks go through.
    for (int i = 0; i < 160; i++) {
        size_t before = f.buffer.length;
        char *at = buffer_reserve(&f.buffer, BLOCK_CAPACITY / 10);
        memset(at, 'x', BLOCK_CAPACITY / 10);
        buffer_commit(&f.buffer, BLOCK_CAPACITY / 10);
        buffer_append_piece(&f.buffer, block, bytes_from(block->bytes, 1000));
        buffer_consume(&f.buffer, before + BLOCK_CAPACITY / 10); // all but the piece
        assert_int_equal(f.source.used, 2);
    }
    assert_int_equal(f.source.used_peak, 2);
    block_unref(block);
    finish(&f);
}

static void moving_takes_references_along(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    struct block *block = block_of(&f, 3000, 0);
    buffer_append_piece(&f.buffer, block, bytes_from(block->bytes, 3000));
    assert_int_equal(buffer_move(&f.other, &f.buffer, 1000), 1000);
    assert_int_equal(block->references, 3);
    assert_int_equal(buffer_move(&f.other, &f.buffer, 5000), 2000);
    assert_int_equal(block->references, 2);
    assert_holds_nothing(&f.buffer);
    assert_int_equal(f.other.count, 1); // pieces that lie behind each other are one again
    assert_int_equal(f.other.length, 3000);
    assert_int_equal(buffer_move(&f.other, &f.buffer, 10), 0);
    block_unref(block);
    finish(&f);
}

static void moving_copies_short_pieces_and_stops_at_the_maximum(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    buffer_append(&f.buffer, BYTES("abcdefgh"));
    buffer_append(&f.other, BYTES("> "));
    assert_int_equal(buffer_move(&f.other, &f.buffer, 0), 0);
    assert_int_equal(buffer_move(&f.other, &f.buffer, 3), 3);
    assert_text(&f.other, "> abc");
    assert_text(&f.buffer, "defgh");
    assert_int_equal(f.other.count, 1);
    assert_int_equal(buffer_move(&f.other, &f.buffer, SIZE_MAX), 5);
    assert_text(&f.other, "> abcdefgh");
    assert_holds_nothing(&f.buffer);
    assert_int_equal(f.source.used, 1);
    finish(&f);
}

static void text_that_was_moved_away_is_not_written_over(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    char text[1000];
    memset(text, 'a', sizeof(text));
    buffer_append(&f.buffer, bytes_from(text, 1000));
    buffer_append(&f.buffer, bytes_from(text, 10));
    buffer_move(&f.other, &f.buffer, 1000); // by reference: both hold the block now
    memset(text, 'b', sizeof(text));
    buffer_append(&f.buffer, bytes_from(text, 1000));
    buffer_append(&f.other, BYTES("c"));
    char all[1010];
    read_all(&f.buffer, all);
    for (size_t i = 0; i < 1010; i++)
        assert_int_equal(all[i], i < 10 ? 'a' : 'b');
    read_all(&f.other, all);
    for (size_t i = 0; i < 1001; i++)
        assert_int_equal(all[i], i < 1000 ? 'a' : 'c');
    finish(&f);
}

static void sharing_leaves_both_with_the_same_bytes(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    struct block *block = block_of(&f, 1000, 0);
    buffer_append(&f.other, BYTES("> "));
    buffer_append(&f.buffer, BYTES("head"));
    buffer_append_piece(&f.buffer, block, bytes_from(block->bytes, 1000));
    buffer_share(&f.other, &f.buffer);
    assert_int_equal(block->references, 3);
    assert_int_equal(f.buffer.length, 1004);
    assert_int_equal(f.other.length, 1006);
    buffer_append(&f.buffer, BYTES("more")); // concerns one of them only
    char all[1008];
    read_all(&f.other, all);
    assert_memory_equal(all, "> head", 6);
    assert_memory_equal(all + 6, block->bytes, 1000);
    buffer_clear(&f.other);
    read_all(&f.buffer, all);
    assert_memory_equal(all, "head", 4);
    assert_memory_equal(all + 1004, "more", 4);
    block_unref(block);
    finish(&f);
}

static void the_front_piece_is_told_with_its_block(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    assert_null(buffer_front_block(&f.buffer));
    struct block *block = block_of(&f, 1000, 0);
    buffer_append_piece(&f.buffer, block, bytes_from(block->bytes + 5, 500));
    assert_ptr_equal(buffer_front_block(&f.buffer), block);
    assert_int_equal(block->references, 2);
    block_unref(block);
    finish(&f);
}

static void iovec_takes_no_more_than_its_entries(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    struct block *block = block_of(&f, 10000, 0);
    for (int i = 0; i < 5; i++)
        buffer_append_piece(&f.buffer, block, bytes_from(block->bytes + 2000 * i, 300 + (size_t)i));
    struct iovec iov[8];
    size_t length;
    assert_int_equal(buffer_iovec(&f.buffer, iov, 2, &length), 2);
    assert_int_equal(length, 601);
    assert_int_equal(buffer_iovec(&f.buffer, iov, 8, &length), 5);
    assert_int_equal(length, 1510);
    assert_int_equal(buffer_iovec(&f.other, iov, 8, &length), 0);
    assert_int_equal(length, 0);
    block_unref(block);
    finish(&f);
}

// Two buffers against two plain arrays, under random operations.
#define MODEL_BYTES 400000

struct model {
    char *bytes;
    size_t begin;
    size_t end;
};

static void model_append(struct model *model, const char *at, size_t length) {
    assert_true(model->end + length <= MODEL_BYTES);
    memcpy(model->bytes + model->end, at, length);
    model->end += length;
}

static void assert_like_model(const struct buffer *buffer, const struct model *model) {
    static char all[MODEL_BYTES];
    assert_int_equal(buffer->length, model->end - model->begin);
    read_all(buffer, all);
    assert_memory_equal(all, model->bytes + model->begin, buffer->length);
}

static size_t random_length(struct rng *rng) {
    static const uint32_t bounds[] = {3, 300, 1000, 20000};
    return rng_below(rng, bounds[rng_below(rng, 4)]);
}

static void step(struct fixture *f, struct model models[2], struct rng *rng) {
    unsigned which = rng_below(rng, 2);
    struct buffer *buffer = which == 0 ? &f->buffer : &f->other;
    struct buffer *other = which == 0 ? &f->other : &f->buffer;
    struct model *model = &models[which];
    size_t length = random_length(rng);
    static char text[20000];
    for (size_t i = 0; i < length; i++)
        text[i] = (char)rng_next(rng);
    switch (rng_below(rng, 6)) {
    case 0:
        buffer_append(buffer, bytes_from(text, length));
        model_append(model, text, length);
        break;
    case 1: {
        size_t room = length > BLOCK_CAPACITY ? BLOCK_CAPACITY : length;
        size_t used = room / (1 + rng_below(rng, 3));
        memcpy(buffer_reserve(buffer, room), text, used);
        buffer_commit(buffer, used);
        model_append(model, text, used);
        break;
    }
    case 2: {
        struct block *block = block_get(&f->source);
        length = length > BLOCK_CAPACITY ? BLOCK_CAPACITY : length;
        memcpy(block->bytes, text, length);
        block->filled = (uint32_t)length;
        size_t middle = length > 0 ? rng_below(rng, (uint32_t)length) : 0;
        buffer_append_piece(buffer, block, bytes_from(block->bytes + middle, length - middle));
        model_append(model, text + middle, length - middle);
        block_unref(block);
        break;
    }
    case 3:
    case 4: {
        size_t count = rng_below(rng, 4) == 0 ? buffer->length : length;
        count = count > buffer->length ? buffer->length : count;
        buffer_consume(buffer, count);
        model->begin += count;
        break;
    }
    default: {
        size_t moved = buffer_move(other, buffer, length);
        assert_int_equal(moved, length < model->end - model->begin ? length : model->end - model->begin);
        model_append(&models[1 - which], model->bytes + model->begin, moved);
        model->begin += moved;
        break;
    }
    }
}

static void behaves_like_a_plain_array_under_random_operations(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct fixture f;
        begin(&f);
        struct rng rng;
        rng_init(&rng, seed);
        struct model models[2] = {{malloc(MODEL_BYTES), 0, 0}, {malloc(MODEL_BYTES), 0, 0}};
        while (models[0].end < MODEL_BYTES - 100000 && models[1].end < MODEL_BYTES - 100000) {
            step(&f, models, &rng);
            if (rng_below(&rng, 8) == 0) {
                assert_like_model(&f.buffer, &models[0]);
                assert_like_model(&f.other, &models[1]);
            }
            if (buffer_is_empty(&f.buffer))
                assert_holds_nothing(&f.buffer);
        }
        assert_like_model(&f.buffer, &models[0]);
        assert_like_model(&f.other, &models[1]);
        free(models[0].bytes);
        free(models[1].bytes);
        finish(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_share_a_block_and_a_segment),
        cmocka_unit_test(a_long_text_fills_one_block_after_the_other),
        cmocka_unit_test(an_empty_buffer_holds_nothing),
        cmocka_unit_test(pieces_up_to_the_limit_are_copied),
        cmocka_unit_test(longer_pieces_are_referenced_where_they_lie),
        cmocka_unit_test(many_short_pieces_pin_few_blocks),
        cmocka_unit_test(a_piece_behind_the_last_one_makes_it_longer),
        cmocka_unit_test(texts_between_pieces_lie_in_one_block_of_the_buffers_own),
        cmocka_unit_test(nothing_is_written_behind_a_referenced_piece),
        cmocka_unit_test(the_ring_grows_in_order_and_goes_when_empty),
        cmocka_unit_test(moderate_growth_takes_no_new_memory_once_warm),
        cmocka_unit_test(reserved_room_is_contiguous_near_the_end_of_a_block),
        cmocka_unit_test(a_reservation_may_be_given_up_or_used_in_part),
        cmocka_unit_test(consuming_goes_over_segments_and_stops_inside),
        cmocka_unit_test(texts_that_pass_through_need_no_more_than_one_block_at_a_time),
        cmocka_unit_test(moving_takes_references_along),
        cmocka_unit_test(moving_copies_short_pieces_and_stops_at_the_maximum),
        cmocka_unit_test(text_that_was_moved_away_is_not_written_over),
        cmocka_unit_test(sharing_leaves_both_with_the_same_bytes),
        cmocka_unit_test(the_front_piece_is_told_with_its_block),
        cmocka_unit_test(iovec_takes_no_more_than_its_entries),
        cmocka_unit_test(behaves_like_a_plain_array_under_random_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
