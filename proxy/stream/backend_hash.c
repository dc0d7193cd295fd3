// Schindelhauer and Schomaker's logarithmic method: each backend draws a number for the key, evenly in (0, 1], and the one whose -log(number) / weight is least has it. That
// number is drawn from what the backend is called alone, so that no backend's draw depends on another.
#include "stream/backend_hash.h"

#include "base/hash.h"

#include <math.h>

// The upper 53 bits, as many as a double has. Never 0, which has no logarithm.
static double draw(uint64_t key, uint64_t seed) {
    return ((double)(hash_mix(key ^ seed) >> 11) + 1) / (double)(UINT64_C(1) << 53);
}

uint32_t backend_by_hash(const struct route_rule *rule, uint64_t key) {
    uint32_t chosen = 0;
    double least = INFINITY;
    for (uint32_t i = 0; i < rule->destination_count; i++) {
        const struct destination *destination = rule->destinations[i];
        if (destination->weight == 0)
            continue;
        double distance = -log(draw(key, destination->seed)) / destination->weight;
        if (distance < least) {
            least = distance;
            chosen = i;
        }
    }
    return chosen;
}
