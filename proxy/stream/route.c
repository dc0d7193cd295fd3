// From a request to its destination, in two steps: the service can be told from the authority alone, the rule only once the head has been judged.
#include "stream/route.h"

#include "stream/route_match.h"
#include "stream/stream.h"

static void set_destination(struct stream *stream, struct bound_destination *destination) {
    stream->destination = destination;
    stream->traffic = destination->config->traffic;
}

bool route_find_service(struct stream *stream) {
    struct bound_destination *destination = stream->listener->role == ROLE_OUTBOUND ? bound_find_host(stream->bound, stream->request->authority)
                                                                                    : bound_find(stream->bound, stream->listener->service);
    if (destination != NULL)
        set_destination(stream, destination);
    return destination != NULL;
}

enum error route_choose(struct stream *stream) {
    const struct route_table *table = stream->destination->config->service->routes;
    if (table == NULL)
        return OK;
    stream->rule = route_match(table, stream->request, stream->request_is_grpc, stream->bound->matcher, &stream->pool);
    if (stream->rule == NULL)
        return ERROR_ROUTE_NOT_FOUND;
    set_destination(stream, bound_choose(stream->bound, stream->rule));
    return OK;
}
