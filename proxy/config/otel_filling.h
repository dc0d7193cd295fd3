// OTEL_* variables on their way into what documents leave open, while these are frozen: which one counts, what it may say, and the warning where it makes no sense. Of freeze_otlp.c
// and freeze_otel_own.c.
#ifndef CONFIG_OTEL_FILLING_H
#define CONFIG_OTEL_FILLING_H

#include "config/freeze_private.h"

// What a document calls a signal that is sent, and what variables do.
struct signal_names {
    enum otlp_signal signal;
    const char *block, *variable, *path;
    const char *batch; // OTEL_BSP_...; NULL: it is not sent in batches
};

struct filling {
    struct freezing *freezing;
    const struct signal_names *names;
    const struct node *node; // of the documents' block; NULL: there is none
    struct otlp_config *config;
};

struct otel_given {
    const char *name;
    struct bytes value; // empty: not set
    bool is_general;    // it is for all signals
};

// One that makes no sense counts as not set. The same is told once.
void filling_warn(const struct filling *filling, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));

// The variable of that name.
struct otel_given filling_variable(const struct filling *filling, const char *name);

// OTEL_EXPORTER_OTLP_...: that of the signal before that of all.
struct otel_given filling_find(const struct filling *filling, const char *what);

// The same where that of the signal counts as not set if it makes no sense: `take` warns then, and returns false.
void filling_take_first(const struct filling *filling, const char *what, bool (*take)(const struct filling *filling, struct otel_given given));

// Whether the documents' block says it.
bool filling_is_given(const struct filling *filling, const char *field);

// A number from `min` to `max`. False: it is not set, or none.
bool filling_read_number(const struct filling *filling, struct otel_given given, uint64_t min, uint64_t max, uint64_t *number);

// One of some words, in any case; `number` of them. False: it is not set, or none of them.
bool filling_read_word(const struct filling *filling, struct otel_given given, const char *const *words, uint32_t number, uint32_t *which);

// What a signal has of its own (freeze_otel_own.c): the form of metrics, propagators and sampling of traces, what is not read for spans.
void filling_own(const struct filling *filling);

// Who tells, where anything is sent; of no signal: `freezing` alone is read.
void filling_resource(const struct filling *filling);

#endif
