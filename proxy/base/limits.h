// Bounds that are not in the policy language, each with the reason for its number. What users may set is in config/.
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

// Streams advanced in one turn of the loop; the rest wait for the next: a turn stays under about 64 x 10 us, so that no connection waits long.
#define LIMIT_STREAMS_PER_TURN 64

// Output of a connection is flushed at the end of the turn, or as soon as it holds this much: one block, one TLS record.
#define LIMIT_OUTPUT_FLUSH_BYTES 16384

// A sender stops putting more into a connection's output above this, until it drained below half: two socket buffers' worth would only add delay.
#define LIMIT_OUTPUT_BYTES 65536

// One readv takes at most this many blocks: 64 KiB, about what a loopback or 10 GbE peer has ready at once.
#define LIMIT_READ_BLOCKS 4

// Connections accepted in one turn by one listener.
#define LIMIT_ACCEPTS_PER_TURN 32

// Descriptors that clients do not get, so that those who were accepted can be served: connections to endpoints are made with them. And of these, those that
// endpoints do not get either: whoever looks at metrics and admin pages, and the files that are read when they change, need some at a time.
#define LIMIT_SPARE_FROM_CLIENTS 64
#define LIMIT_SPARE_FROM_ENDPOINTS 16

// Body bytes of a stream that may wait before the chain has let it pass (design: 16 KiB of credit).
#define LIMIT_BODY_BEFORE_DECISION 16384

// HTTP/2: what a stream's window may grow to: 1 MiB keeps 1 Gbit/s busy over a round trip of 8 ms.
#define LIMIT_STREAM_WINDOW_BYTES (1024 * 1024)

// Blocks and pool chunks that a worker keeps for later: 4 MiB and 2 MiB after a burst; trimmed to a quarter when it has been quiet.
#define LIMIT_FREE_BLOCKS 256
#define LIMIT_FREE_CHUNKS 512

// What a connection takes besides blocks and chunks, about: our structs and the system's, 5 KiB as measured, and its part of what nghttp2 or OpenSSL keep. Only to know when to
// look at the memory budget; what counts is what is seen then.
#define LIMIT_CONNECTION_BYTES 8192

// Under a limit of memory the system keeps at most about this much of an answer: to a client that does not read it (beyond what is on its way), and from an endpoint while we do
// not. By itself it keeps up to 4 MB of the first. 10 ms of 100 Mbit/s.
#define LIMIT_SOCKET_BYTES (128 * 1024)

// Messages that may wait for one thread.
#define LIMIT_MAILBOX 1024

#endif
