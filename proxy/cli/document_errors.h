// What is wrong with documents, told on standard error: the same for every command that reads them.
#ifndef CLI_DOCUMENT_ERRORS_H
#define CLI_DOCUMENT_ERRORS_H

#include "config/load.h"

// One a line, each behind `prefix`.
void document_errors_print(const struct config_errors *errors, const char *prefix);

#endif
