# Flags that every target gets: the warnings, the sanitizers, the hardening of a release.
include(CheckCCompilerFlag)

add_library(outrigger-options INTERFACE)
target_compile_definitions(outrigger-options INTERFACE _GNU_SOURCE OUTRIGGER_VERSION="${PROJECT_VERSION}")
target_include_directories(outrigger-options INTERFACE ${CMAKE_SOURCE_DIR}/proxy ${CMAKE_SOURCE_DIR})
target_compile_options(outrigger-options INTERFACE
    -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings
    -Wundef -Wvla -Wformat=2 -Wimplicit-fallthrough -Wno-missing-field-initializers
    -fno-strict-aliasing -fno-common
    $<$<C_COMPILER_ID:GNU>:-Wcast-qual>) # clang also faults what OpenSSL's macros cast
if(OUTRIGGER_WERROR)
    target_compile_options(outrigger-options INTERFACE -Werror)
endif()

# What instruments code goes to llhttp's sources as well (cmake/dependencies.cmake): a parser is worth it most.
set(OUTRIGGER_INSTRUMENT "")
if(OUTRIGGER_SANITIZE)
    list(APPEND OUTRIGGER_INSTRUMENT -fsanitize=${OUTRIGGER_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(outrigger-options INTERFACE -fsanitize=${OUTRIGGER_SANITIZE})
endif()
if(OUTRIGGER_FUZZ)
    list(APPEND OUTRIGGER_INSTRUMENT -fsanitize=fuzzer-no-link)
endif()
target_compile_options(outrigger-options INTERFACE ${OUTRIGGER_INSTRUMENT})

# llhttp looks for the ends of names and values 16 bytes at a time where it may use SSE 4.2, which x86-64 processors have since 2009; app/process.c says so where one has
# it not.
set(OUTRIGGER_LLHTTP_MACHINE "")
if(OUTRIGGER_HARDEN AND CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
    set(OUTRIGGER_LLHTTP_MACHINE -msse4.2)
    target_compile_definitions(outrigger-options INTERFACE OUTRIGGER_NEEDS_SSE42)
endif()

if(OUTRIGGER_HARDEN)
    target_compile_options(outrigger-options INTERFACE
        -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection)
    check_c_compiler_flag(-fcf-protection HAVE_CF_PROTECTION) # x86 only
    if(HAVE_CF_PROTECTION)
        target_compile_options(outrigger-options INTERFACE -fcf-protection)
    endif()
    # gcc zeroes and copies small structs by `rep stos` and `rep movs`, which take some 8 ns to begin, on a path that does it a dozen times a request.
    set(small_blocks vector_loop:512:noalign,libcall:-1:noalign)
    check_c_compiler_flag("-mmemset-strategy=${small_blocks} -mmemcpy-strategy=${small_blocks}" HAVE_BLOCK_STRATEGY) # gcc on x86 only
    if(HAVE_BLOCK_STRATEGY)
        target_compile_options(outrigger-options INTERFACE -mmemset-strategy=${small_blocks} -mmemcpy-strategy=${small_blocks})
        target_link_options(outrigger-options INTERFACE -mmemset-strategy=${small_blocks} -mmemcpy-strategy=${small_blocks}) # of link-time optimisation
    endif()
    target_link_options(outrigger-options INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
    set(CMAKE_POSITION_INDEPENDENT_CODE ON)
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
    include(CheckPIESupported)
    check_pie_supported(LANGUAGES C)
endif()
