// The codes of gRPC with their numbers, but OK, as documents name them (grpc/grpc, doc/statuscodes.md).
#ifndef CONFIG_GRPC_CODES_H
#define CONFIG_GRPC_CODES_H

// X(word, number, what it means)
#define GRPC_CODE_LIST(X)                                        \
    X(CANCELLED, 1, "the call was cancelled")                    \
    X(UNKNOWN, 2, "an error of no known kind")                   \
    X(INVALID_ARGUMENT, 3, "the caller's argument is wrong")     \
    X(DEADLINE_EXCEEDED, 4, "time ran out")                      \
    X(NOT_FOUND, 5, "it is not there")                           \
    X(ALREADY_EXISTS, 6, "it is there already")                  \
    X(PERMISSION_DENIED, 7, "the caller may not")                \
    X(RESOURCE_EXHAUSTED, 8, "a quota or a resource is used up") \
    X(FAILED_PRECONDITION, 9, "the state does not allow it")     \
    X(ABORTED, 10, "it was given up, as for a conflict")         \
    X(OUT_OF_RANGE, 11, "past the end")                          \
    X(UNIMPLEMENTED, 12, "there is no such method")              \
    X(INTERNAL, 13, "an invariant is broken")                    \
    X(UNAVAILABLE, 14, "the service is not there for now")       \
    X(DATA_LOSS, 15, "data are lost")                            \
    X(UNAUTHENTICATED, 16, "the caller is not known")

#endif
