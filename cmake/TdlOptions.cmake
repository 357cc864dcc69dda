# Language, warnings, sanitizers, places of outputs: everything that holds for each target of the project.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_C_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

# POSIX.1-2008 is assumed beside C11 (files, directories, threads); GNU extensions are not.
add_compile_definitions(_POSIX_C_SOURCE=200809L)
include_directories(${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})

set(TDL_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wundef -Wstrict-prototypes -Wmissing-prototypes
    -Wdouble-promotion -Wswitch)
if(TDL_WERROR)
  list(APPEND TDL_WARNINGS -Werror)
endif()
# Code that flex and bison wrote is built without the project's warnings.
set(TDL_GENERATED_FLAGS "-w")

if(TDL_SANITIZE)
  add_compile_options(-fsanitize=${TDL_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${TDL_SANITIZE})
endif()
if(TDL_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()
