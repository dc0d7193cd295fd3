// Hands the sender's tries to the first worker, and what came of them back to the sender. See export_carrier.h.
#include "app/export_carrier.h"

#include "agent/export_call.h"
#include "app/proxy.h"
#include "base/check.h"
#include "base/log.h"

static void on_over(struct export_call *call) {
    struct export_carrier *carrier = call->user;
    struct otlp_sender *sender = carrier->sender;
    CHECK(carrier->call == call);
    carrier->call = NULL;
    otlp_sender_answered(sender, &call->answer);
    export_call_destroy(call);
    // Once for a request: what becomes of it may show only after all of its time.
    if (sender->state == OTLP_SENDER_HELD && sender->tries == 1)
        log_event(LOG_INFO, "export_retry", "signal=%s records=%llu reason=\"%s\"", carrier->name, (unsigned long long)sender->records,
                  sender->reason);
}

static void carry(void *user, const struct otlp_sender_terms *terms, struct bytes body, nanoseconds timeout) {
    struct export_carrier *carrier = user;
    CHECK(carrier->call == NULL);
    carrier->call = export_call_create(&carrier->proxy->loop.mailbox, carrier->sender->signal, terms, body, timeout, on_over, carrier);
    worker_export(&carrier->proxy->workers[0], carrier->call);
}

static void cancel(void *user) {
    struct export_carrier *carrier = user;
    worker_cancel_export(&carrier->proxy->workers[0], carrier->sender->signal);
}

void export_carrier_init(struct export_carrier *carrier, struct proxy *proxy, struct otlp_sender *sender, const char *name) {
    *carrier = (struct export_carrier){.proxy = proxy, .sender = sender, .name = name};
}

struct otlp_carrier export_carrier_ops(struct export_carrier *carrier) {
    return (struct otlp_carrier){.carry = carry, .cancel = cancel, .user = carrier};
}

void export_carrier_end(struct export_carrier *carrier) {
    if (carrier->call != NULL && list_is_linked(&carrier->call->note.link))
        on_over(carrier->call); // its answer came
    if (carrier->call != NULL)
        export_call_destroy(carrier->call);
    carrier->call = NULL;
}
