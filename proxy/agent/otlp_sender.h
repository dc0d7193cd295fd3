// Sends one request of one signal at a time, again and again until it is taken, refused, or its time is over: exponential backoff with jitter, or what the receiver asks for.
// It knows nothing of connections: whoever carries its requests is passed in. Main thread.
//
// Owner:      who embeds it. Of one thread.
// Start:      otlp_sender_send.
// Callbacks:  those of its carrier, for each try; `done`, once for each otlp_sender_send, never from within it.
// Cancel:     otlp_sender_drop; while a try is under way `otlp_sender_answered` still comes first. otlp_sender_end where none will come any more.
// Memory:     the caller's; after otlp_sender_dispose it may go.
#ifndef AGENT_OTLP_SENDER_H
#define AGENT_OTLP_SENDER_H

#include "agent/otlp_answer.h"
#include "agent/otlp_encoder.h"
#include "net/loop.h"

//   IDLE -> HELD                     a request was given; it waits for the next turn, or for as long as the receiver wants
//   HELD -> ENCODING, UNDER_WAY, IDLE  time to try: its body is to be made, or is that of the last try; or given up
//   ENCODING -> UNDER_WAY, HELD, IDLE  its body is made, some of it in each turn; it is to be made anew, in another form; or given up
//   UNDER_WAY -> HELD, IDLE          to be sent again; or done
enum otlp_sender_state { OTLP_SENDER_IDLE, OTLP_SENDER_HELD, OTLP_SENDER_ENCODING, OTLP_SENDER_UNDER_WAY };

// What became of the records of a request.
enum otlp_end {
    OTLP_END_EXPORTED,  // but for `rejected`
    OTLP_END_REFUSED,   // not to be sent again
    OTLP_END_TIMEOUT,   // not taken in its time
    OTLP_END_TOO_LARGE, // for us or for the receiver
    OTLP_END_MEMORY,    // there was none for its body
    OTLP_END_DROPPED,   // otlp_sender_drop
    OTLP_ENDS
};

struct otlp_result {
    enum otlp_end end;
    uint64_t records;   // of the request
    uint64_t rejected;  // of an export that was taken
    const char *reason; // in few words; empty: nothing to say
};

struct otlp_sender_terms {
    enum otlp_protocol protocol;
    enum otlp_compression compression;
    nanoseconds timeout;        // of a try
    nanoseconds export_timeout; // of all of them
};

// Who brings requests to a receiver, and answers back.
struct otlp_carrier {
    // Begins a try: `body` is the sender's, and stays until otlp_sender_answered, which follows exactly once and never from within.
    void (*carry)(void *user, const struct otlp_sender_terms *terms, struct bytes body, nanoseconds timeout);
    // Nobody wants the answer of the try that is under way: otlp_sender_answered comes soon. At most once for a try.
    void (*cancel)(void *user);
    void *user;
};

struct otlp_sender {
    struct loop *loop;
    enum otlp_signal signal;
    struct otlp_sender_terms terms; // of the next try
    struct bytes url;               // owned: who is asked
    struct otlp_sender_terms tried; // of the last try
    struct otlp_encoder *encoder;   // of ENCODING; else NULL
    struct otlp_carrier carrier;
    void (*done)(void *user, const struct otlp_result *result);
    void *user;
    enum otlp_sender_state state;
    char *memory; // owned: `request` lies in it
    struct bytes request;
    struct bytes body; // owned: the request in the form of the last try
    uint64_t records;
    unsigned tries;               // of this request that were begun
    uint64_t retries;             // of all: tries after the first
    nanoseconds give_up_at;       // of the loop's clock; UINT64_MAX: no try was begun
    nanoseconds quiet_until;      // the receiver wants nothing before
    bool is_dropped;              // as soon as the try is over
    bool is_elsewhere;            // the receiver that the try went to is no more the one that is asked
    bool is_cancelled;            // the try
    char reason[OTLP_REASON_MAX]; // of the last try
    struct timer timer;
};

// `user`: of `done`.
void otlp_sender_init(struct otlp_sender *sender, struct loop *loop, enum otlp_signal signal, struct otlp_carrier carrier,
                      void (*done)(void *user, const struct otlp_result *result), void *user);

// How and where each try goes from now on. Where that is another receiver, nothing waits for the last one: what is held is tried at once, what is under way is cancelled and
// tried again. NULL: nothing is sent.
void otlp_sender_lead(struct otlp_sender *sender, const struct otlp_config *config);

// It is idle and led. `request`: a whole Export...ServiceRequest as protobuf with `records` in it, at least one; it lies in `memory`, which is the sender's from here on (free).
// Its time begins with the first try: before that it waits as long as the receiver has asked for.
void otlp_sender_send(struct otlp_sender *sender, char *memory, struct bytes request, uint64_t records);

// The try that was carried is over. The texts of `answer` are the caller's.
void otlp_sender_answered(struct otlp_sender *sender, const struct otlp_answer *answer);

// What is to be done is to be done until `at`, and without waiting between tries for longer than that leaves room for: the process is about to end.
void otlp_sender_hurry(struct otlp_sender *sender, nanoseconds at);

// Gives up what it has: `done` comes at once where no try is under way, else with the end of that, which is cancelled.
void otlp_sender_drop(struct otlp_sender *sender);

// No answer will come any more: gives up what it has, and `done` comes at once.
void otlp_sender_end(struct otlp_sender *sender);

// It is idle.
void otlp_sender_dispose(struct otlp_sender *sender);

#endif
