// See server_first.h. One place for each destination, by a hash: what is not found there is not known.
#include "downstream/server_first.h"

#define HOLDS_NS (600 * NS_PER_S)
#define FNV_START UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

// Addresses are zeroed before they are filled in: equal ones are equal bytes.
static struct bytes bytes_of(const union address *address) {
    const void *at = address;
    return bytes_from(at, sizeof *address);
}

static uint64_t mix(uint64_t hash, const void *from, size_t size) {
    const unsigned char *at = from;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * FNV_PRIME;
    return hash;
}

static uint64_t listener_hash(struct bytes listener) {
    return mix(FNV_START, listener.at, listener.len);
}

static size_t place_of(uint64_t listener, const union address *destination) {
    uint64_t hash = mix(listener, destination, sizeof *destination);
    return (hash ^ hash >> 32) % SERVER_FIRST_PLACES;
}

bool server_first_knows(const struct server_first *table, struct bytes listener, const union address *destination, nanoseconds now) {
    uint64_t hash = listener_hash(listener);
    size_t place = place_of(hash, destination);
    return table->places[place].until > now && table->places[place].listener == hash &&
           bytes_equal(bytes_of(&table->places[place].destination), bytes_of(destination));
}

void server_first_note(struct server_first *table, struct bytes listener, const union address *destination, nanoseconds now) {
    uint64_t hash = listener_hash(listener);
    size_t place = place_of(hash, destination);
    table->places[place].listener = hash;
    table->places[place].destination = *destination;
    table->places[place].until = now + HOLDS_NS;
}

void server_first_forget(struct server_first *table, struct bytes listener, const union address *destination) {
    if (server_first_knows(table, listener, destination, 0))
        table->places[place_of(listener_hash(listener), destination)].until = 0;
}
