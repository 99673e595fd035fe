# What bin/hadoop and bin/hdfs share; they source it with HADOOP_HOME set, define select_class and usage, and call launch.
# The official scripts are not on Maven Central; names, variables and classes are theirs (Apache Hadoop 3.4, Commands
# Reference), so that either archive serves.
set -euo pipefail

die() {
  echo "ERROR: $1" >&2
  exit 1
}

# launch PROGRAM ARGUMENTS: read the options, then become the JVM, so that who started the script has it as its process.
launch() {
  local program=$1 log_level=""
  shift
  while [[ ${1:-} == --* ]]; do
    case $1 in
      --config)
        [[ -n ${2:-} ]] || die "--config needs a folder"
        [[ -d $2 ]] || die "--config $2: there is no such folder"
        export HADOOP_CONF_DIR=$2
        shift 2
        ;;
      --loglevel)
        [[ -n ${2:-} ]] || die "--loglevel needs a level: FATAL, ERROR, WARN, INFO, DEBUG or TRACE"
        log_level=$2
        shift 2
        ;;
      --help)
        usage
        exit 0
        ;;
      --daemon) die "--daemon: a service manager starts and stops daemons; $program COMMAND runs one in the foreground" ;;
      *) usage_error "$1 is not an option of $program" ;;
    esac
  done
  case ${1:-} in
    "") usage_error "no command is given" ;;
    -h | -help | help)
      usage
      exit 0
      ;;
  esac
  local command=$1
  shift

  if [[ -z ${HADOOP_CONF_DIR:-} ]]; then
    HADOOP_CONF_DIR=$HADOOP_HOME/etc/hadoop
    [[ ! -d /etc/hadoop ]] || HADOOP_CONF_DIR=/etc/hadoop
  fi
  export HADOOP_CONF_DIR HADOOP_HOME
  if [[ -r $HADOOP_CONF_DIR/hadoop-env.sh ]]; then
    # A site's script need not be as strict as this one.
    set +eu
    # shellcheck source=/dev/null
    . "$HADOOP_CONF_DIR/hadoop-env.sh"
    set -eu
  fi

  # The last folder has a log4j.properties for configurations without one.
  local share=$HADOOP_HOME/share/hadoop
  CLASSPATH="$HADOOP_CONF_DIR:$share/common/lib/*:$share/common/*:$share/hdfs:$share/hdfs/lib/*:$share/hdfs/*"
  if [[ -n ${HADOOP_USER_CLASSPATH_FIRST:-} ]]; then
    CLASSPATH=${HADOOP_CLASSPATH:+$HADOOP_CLASSPATH:}$CLASSPATH
  else
    CLASSPATH=$CLASSPATH${HADOOP_CLASSPATH:+:$HADOOP_CLASSPATH}
  fi
  export CLASSPATH=$CLASSPATH:$HADOOP_HOME/libexec

  # What needs no JVM.
  case $command in
    classpath)
      if [[ $# -eq 0 ]]; then
        echo "$CLASSPATH"
        exit 0
      fi
      ;;
    envvars)
      printf "%s='%s'\n" JAVA_HOME "${JAVA_HOME:-}" HADOOP_HOME "$HADOOP_HOME" HADOOP_CONF_DIR "$HADOOP_CONF_DIR" \
        HADOOP_COMMON_DIR share/hadoop/common HDFS_DIR share/hadoop/hdfs
      exit 0
      ;;
  esac

  # select_class sets these two.
  local class="" daemon=""
  select_class "$command"
  if [[ -z $class ]]; then
    [[ $command == *.* ]] || usage_error "$command is not a command of $program, nor the name of a class"
    class=$command
  fi

  local java=${JAVA_HOME:+$JAVA_HOME/bin/}java
  command -v "$java" >/dev/null || die "there is no $java: install a Java runtime, or set JAVA_HOME to one's folder"

  # The class file format and the reflection of Jersey 1 and JAXB are older than Java 17.
  local options=("-Dproc_$command" --add-opens=java.base/java.lang=ALL-UNNAMED)
  local own=${program^^}_${command^^}_OPTS
  if [[ -n $daemon ]]; then
    options+=("-Dhadoop.root.logger=${log_level:-${HADOOP_ROOT_LOGGER:-INFO,console}}")
  else
    # A client lives for seconds: C1 alone and a collector without threads start faster.
    options+=(-XX:TieredStopAtLevel=1 -XX:+UseSerialGC)
    options+=("-Dhadoop.root.logger=${log_level:-${HADOOP_ROOT_LOGGER:-WARN,console}}")
  fi
  [[ -z $log_level ]] || options[-1]+=,console
  [[ -z ${HADOOP_LOG_DIR:-} ]] || options+=("-Dhadoop.log.dir=$HADOOP_LOG_DIR")
  [[ ! -d $HADOOP_HOME/lib/native ]] || options+=("-Djava.library.path=$HADOOP_HOME/lib/native")
  heap_option -Xmx "${HADOOP_HEAPSIZE_MAX:-}"
  heap_option -Xms "${HADOOP_HEAPSIZE_MIN:-}"
  # Words of variables, as the official scripts take them; the later one wins.
  set -f
  # shellcheck disable=SC2206
  [[ -n $daemon ]] || options+=(${HADOOP_CLIENT_OPTS:-})
  # shellcheck disable=SC2206
  options+=(${HADOOP_OPTS:-})
  # shellcheck disable=SC2206
  [[ ! $own =~ ^[A-Z0-9_]+$ ]] || options+=(${!own:-})
  set +f
  exec "$java" "${options[@]}" "$class" "$@"
}

# heap_option FLAG SIZE: a number without a unit is in MiB.
heap_option() {
  [[ -n $2 ]] || return 0
  local size=$2
  [[ ! $size =~ ^[0-9]+$ ]] || size+=m
  options+=("$1$size")
}

usage_error() {
  echo "ERROR: $1" >&2
  usage >&2
  exit 1
}
