// Durations as the headers of deadlines carry them: grpc-timeout (gRPC PROTOCOL-HTTP2) and x-request-timeout-ms.
#ifndef FILTERS_DEADLINE_H
#define FILTERS_DEADLINE_H

#include "base/bytes.h"
#include "base/clock.h"
#include "base/pool.h"

// 1 to 8 digits and one of H M S m u n. False on anything else.
bool grpc_timeout_parse(struct bytes text, nanoseconds *timeout);

// The same, never longer than `timeout`, in the finest unit that 8 digits can carry.
struct bytes grpc_timeout_print(nanoseconds timeout, struct pool *pool);

// Whole milliseconds, 0 to one day.
bool timeout_ms_parse(struct bytes text, nanoseconds *timeout);

#endif
