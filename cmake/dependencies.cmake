# The libraries of the distribution, by pkg-config. llhttp comes from the distribution where it is new enough
# (9.3.0: older ones do not tell HTTP from RTSP and ICE, and those before 9.2.1 have request smuggling flaws), else from the source package that `./dev setup` put into build/deps.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(libuv REQUIRED IMPORTED_TARGET libuv>=1.44)
pkg_check_modules(openssl REQUIRED IMPORTED_TARGET openssl>=3.0)
pkg_check_modules(nghttp2 REQUIRED IMPORTED_TARGET libnghttp2>=1.52)
pkg_check_modules(yaml REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(pcre2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(jansson REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(cmocka REQUIRED IMPORTED_TARGET cmocka)

pkg_check_modules(llhttp IMPORTED_TARGET libllhttp>=9.3.0)
set(LLHTTP_SOURCE ${CMAKE_SOURCE_DIR}/build/deps/llhttp CACHE PATH "llhttp's sources, where the distribution has none new enough")
if(llhttp_FOUND)
    add_library(outrigger-llhttp ALIAS PkgConfig::llhttp)
elseif(EXISTS ${LLHTTP_SOURCE}/src/llhttp.c)
    add_library(outrigger-llhttp STATIC
        ${LLHTTP_SOURCE}/src/llhttp.c ${LLHTTP_SOURCE}/src/api.c ${LLHTTP_SOURCE}/src/http.c)
    target_include_directories(outrigger-llhttp SYSTEM PUBLIC ${LLHTTP_SOURCE}/include)
    target_compile_options(outrigger-llhttp PRIVATE ${OUTRIGGER_INSTRUMENT} ${OUTRIGGER_LLHTTP_MACHINE})
else()
    message(FATAL_ERROR "llhttp >= 9.3.0 is missing: run ./dev setup")
endif()
