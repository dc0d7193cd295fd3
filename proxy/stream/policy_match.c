// Asks the matches of a rule, with the regular expressions of the worker that the stream is on.
#include "stream/policy_match.h"

#include "base/check.h"
#include "stream/route_match.h"
#include "stream/stream.h"

enum error policy_match(struct stream *stream, const struct route_match *matches, uint32_t count, bool *matched) {
    CHECK(stream->bound != NULL);
    struct regex_matcher *matcher = stream->bound->matcher;
    if (matcher != NULL)
        regex_matcher_begin(matcher);
    *matched = request_matches(matches, count, stream->request, matcher, &stream->pool);
    return matcher != NULL && regex_matcher_gave_up(matcher) ? ERROR_BAD_REQUEST : OK;
}
