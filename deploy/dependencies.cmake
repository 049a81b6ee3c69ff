# The libraries below Holdfast as targets deps::NAME: those that deploy/deps.sh builds, from its
# cache prefix, and those that Debian packages, through pkg-config.

set(HOLDFAST_DEPS "" CACHE PATH "Prefix of the libraries; empty asks deploy/deps.sh --prefix")
set_property(DIRECTORY APPEND PROPERTY
  CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/deploy/deps.sh)

# Not kept in the CMake cache: a changed deps.sh names a new prefix, and the next configure follows.
set(deps ${HOLDFAST_DEPS})
if(NOT deps)
  execute_process(COMMAND ${PROJECT_SOURCE_DIR}/deploy/deps.sh --prefix
    OUTPUT_VARIABLE deps OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
endif()

#   dependency(NAME ARCHIVES lib*.a... [LINK libraries...])
function(dependency name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "ARCHIVES;LINK")
  list(TRANSFORM arg_ARCHIVES PREPEND ${deps}/lib/)
  foreach(archive IN LISTS arg_ARCHIVES)
    if(NOT EXISTS ${archive})
      message(FATAL_ERROR "${archive} is missing: run deploy/deps.sh, then configure again")
    endif()
  endforeach()
  add_library(deps::${name} INTERFACE IMPORTED GLOBAL)
  target_include_directories(deps::${name} SYSTEM INTERFACE ${deps}/include)
  target_link_libraries(deps::${name} INTERFACE ${arg_ARCHIVES} ${arg_LINK})
endfunction()

#   package(NAME MODULE): a pkg-config module of the system
function(package name module)
  pkg_check_modules(${name} QUIET IMPORTED_TARGET GLOBAL ${module})
  if(NOT ${name}_FOUND)
    message(FATAL_ERROR "${module} is missing: run deploy/deps.sh, then configure again")
  endif()
  add_library(deps::${name} ALIAS PkgConfig::${name})
endfunction()

find_package(PkgConfig REQUIRED)
package(microhttpd libmicrohttpd)
package(curl libcurl)
package(jansson jansson)
package(cbor libcbor)
package(lmdb lmdb)
package(openssl openssl)

dependency(wolfssl ARCHIVES libwolfssl.a LINK m)
dependency(uring ARCHIVES liburing.a)
dependency(coap ARCHIVES libcoap-3.a)
dependency(hiredis ARCHIVES libhiredis_ssl.a libhiredis.a LINK deps::openssl)
