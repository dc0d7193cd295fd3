// See gradient.h. The numbers are those of Gradient2Limit and its ExpAvgMeasurement.
#include "filters/gradient.h"

#include <stdbool.h>

#define INITIAL_LIMIT 20
#define WINDOW 600.0  // samples that the long mean is over
#define WARM_UP 10    // the first of them count alike
#define TOLERANCE 1.5 // so much longer than the long mean is no sign of a queue
#define HEADROOM 4.0  // requests that may queue in the service: what the limit tries to grow by
#define SMOOTHING 0.2 // of a new limit that is taken over at once
#define RECOVERY 0.95 // by which the long mean falls where it is far above what requests take now

static double between(double value, double least, double most) {
    return value < least ? least : value > most ? most : value;
}

void gradient_init(struct gradient *gradient, uint32_t min, uint32_t max) {
    *gradient = (struct gradient){.limit = between(INITIAL_LIMIT, min, max)};
}

static void add_to_mean(struct gradient *gradient, double took) {
    const bool is_warm = gradient->samples >= WARM_UP;
    gradient->samples += !is_warm;
    const double factor = is_warm ? 2.0 / (WINDOW + 1) : 1.0 / gradient->samples;
    gradient->long_mean += (took - gradient->long_mean) * factor;
}

void gradient_sample(struct gradient *gradient, nanoseconds took, uint32_t in_flight, uint32_t min, uint32_t max) {
    const double now = took > 0 ? (double)took : 1.0;
    add_to_mean(gradient, now);
    const double usual = gradient->long_mean;
    if (usual / now > 2)
        gradient->long_mean *= RECOVERY;
    if (in_flight < gradient->limit / 2)
        return; // so few say nothing of what it could take
    const double slope = between(TOLERANCE * usual / now, 0.5, 1.0);
    const double wanted = gradient->limit * slope + HEADROOM;
    gradient->limit = between(gradient->limit * (1 - SMOOTHING) + wanted * SMOOTHING, min, max);
}

uint32_t gradient_limit(const struct gradient *gradient, uint32_t min, uint32_t max) {
    return (uint32_t)between(gradient->limit, min, max);
}
