# Finds the shared libLLVM and makes the target tdl_llvm. In order: -DLLVM_DIR or -DTDL_LLVM_CONFIG when given,
# llvm-config-N, N = TDL_LLVM_VERSION or the newest of 22 to 19, then find_package(LLVM CONFIG).
# llvm-config comes first because it needs nothing of what LLVM itself was built with (zlib, zstd, libxml2 as targets).
# Sets TDL_LLVM_PACKAGE_VERSION (22.1.8), TDL_LLVM_MAJOR, TDL_LLVM_BINDIR.
set(TDL_LLVM_SUPPORTED 22 21 20 19)

set(TDL_LLVM_HELP "libLLVM was not found. Install one of the packages llvm-22-dev, llvm-21-dev, llvm-20-dev or \
llvm-19-dev with the tools of the same version (scripts/setup does), or give -DTDL_LLVM_CONFIG=/path/to/llvm-config \
or -DLLVM_DIR=/path/to/lib/cmake/llvm. -DTDL_LLVM_VERSION=N chooses among several.")

function(tdl_llvm_config_query out)
  execute_process(COMMAND ${TDL_LLVM_CONFIG} ${ARGN} OUTPUT_VARIABLE text RESULT_VARIABLE status
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_VARIABLE why)
  if(status)
    message(FATAL_ERROR "${TDL_LLVM_CONFIG} ${ARGN} failed: ${why}\n${TDL_LLVM_HELP}")
  endif()
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

add_library(tdl_llvm INTERFACE)
if(NOT TDL_LLVM_CONFIG AND NOT LLVM_DIR)
  foreach(version ${TDL_LLVM_VERSION})
    find_program(TDL_LLVM_CONFIG NAMES llvm-config-${version} PATHS /usr/lib/llvm-${version}/bin)
  endforeach()
  if(NOT TDL_LLVM_VERSION)
    foreach(version ${TDL_LLVM_SUPPORTED})
      find_program(TDL_LLVM_CONFIG NAMES llvm-config-${version} PATHS /usr/lib/llvm-${version}/bin)
    endforeach()
  endif()
endif()

if(TDL_LLVM_CONFIG)
  tdl_llvm_config_query(TDL_LLVM_PACKAGE_VERSION --version)
  tdl_llvm_config_query(TDL_LLVM_BINDIR --bindir)
  tdl_llvm_config_query(llvm_includes --includedir)
  tdl_llvm_config_query(llvm_libdir --libdir)
  tdl_llvm_config_query(llvm_libs --link-shared --libs)
  separate_arguments(llvm_libs)
  target_include_directories(tdl_llvm SYSTEM INTERFACE ${llvm_includes})
  target_link_directories(tdl_llvm INTERFACE ${llvm_libdir})
  target_link_libraries(tdl_llvm INTERFACE ${llvm_libs})
else()
  find_package(LLVM ${TDL_LLVM_VERSION} CONFIG QUIET)
  if(NOT LLVM_FOUND OR NOT TARGET LLVM)
    message(FATAL_ERROR "${TDL_LLVM_HELP}")
  endif()
  set(TDL_LLVM_PACKAGE_VERSION ${LLVM_PACKAGE_VERSION})
  set(TDL_LLVM_BINDIR ${LLVM_TOOLS_BINARY_DIR})
  target_include_directories(tdl_llvm SYSTEM INTERFACE ${LLVM_INCLUDE_DIRS})
  target_link_libraries(tdl_llvm INTERFACE LLVM)
endif()

string(REGEX MATCH "^[0-9]+" TDL_LLVM_MAJOR "${TDL_LLVM_PACKAGE_VERSION}")
if(NOT TDL_LLVM_MAJOR IN_LIST TDL_LLVM_SUPPORTED)
  message(FATAL_ERROR "LLVM ${TDL_LLVM_PACKAGE_VERSION} is not supported. ${TDL_LLVM_HELP}")
endif()
message(STATUS "LLVM ${TDL_LLVM_PACKAGE_VERSION} (${TDL_LLVM_BINDIR})")
