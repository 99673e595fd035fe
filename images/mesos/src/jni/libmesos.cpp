// libmesos.so for the JVM: the native methods of the class
// org.apache.mesos.MesosSchedulerDriver, on the MesosSchedulerDriver that
// libmesos-1.11.0.so exports.  Messages cross the boundary in serialized form.
//
// The Java classes are those of Mesos 1.4.3, which Spark 3.5 brings.

#include "java.hpp"

using std::string;
using std::vector;

using mesos::MesosSchedulerDriver;
using mesos::SchedulerDriver;
using mesos::Status;

namespace {

JavaVM* jvm;
jclass schedulerClass;  // org.apache.mesos.Scheduler
jclass statusClass;     // org.apache.mesos.Protos$Status
jmethodID statusValueOf;


// Passes callbacks on to the Java driver's scheduler.  The Java driver is
// referred to weakly, so that it can be collected, as nothing else ends it.
class JavaScheduler final : public mesos::Scheduler
{
public:
  JavaScheduler(JNIEnv* env, jobject javaDriver)
    : driver(env->NewWeakGlobalRef(javaDriver)) {}

  void release(JNIEnv* env) { env->DeleteWeakGlobalRef(driver); }

  void registered(
      SchedulerDriver* self,
      const mesos::FrameworkID& frameworkId,
      const mesos::MasterInfo& masterInfo) override
  {
    notify(self, "registered",
           "(Lorg/apache/mesos/SchedulerDriver;"
           "Lorg/apache/mesos/Protos$FrameworkID;"
           "Lorg/apache/mesos/Protos$MasterInfo;)V",
           [&](JNIEnv* env, jvalue* arguments) {
             arguments[0].l = java::object(env, frameworkId);
             arguments[1].l = java::object(env, masterInfo);
           });
  }

  void reregistered(
      SchedulerDriver* self, const mesos::MasterInfo& masterInfo) override
  {
    notify(self, "reregistered",
           "(Lorg/apache/mesos/SchedulerDriver;"
           "Lorg/apache/mesos/Protos$MasterInfo;)V",
           [&](JNIEnv* env, jvalue* arguments) {
             arguments[0].l = java::object(env, masterInfo);
           });
  }

  void disconnected(SchedulerDriver* self) override
  {
    notify(self, "disconnected",
           "(Lorg/apache/mesos/SchedulerDriver;)V",
           [](JNIEnv*, jvalue*) {});
  }

  void resourceOffers(
      SchedulerDriver* self, const vector<mesos::Offer>& offers) override
  {
    notify(self, "resourceOffers",
           "(Lorg/apache/mesos/SchedulerDriver;Ljava/util/List;)V",
           [&](JNIEnv* env, jvalue* arguments) {
             arguments[0].l = java::object(env, offers);
           });
  }

  void offerRescinded(
      SchedulerDriver* self, const mesos::OfferID& offerId) override
  {
    notify(self, "offerRescinded",
           "(Lorg/apache/mesos/SchedulerDriver;"
           "Lorg/apache/mesos/Protos$OfferID;)V",
           [&](JNIEnv* env, jvalue* arguments) {
             arguments[0].l = java::object(env, offerId);
           });
  }

  void statusUpdate(
      SchedulerDriver* self, const mesos::TaskStatus& status) override
  {
    notify(self, "statusUpdate",
           "(Lorg/apache/mesos/SchedulerDriver;"
           "Lorg/apache/mesos/Protos$TaskStatus;)V",
           [&](JNIEnv* env, jvalue* arguments) {
             arguments[0].l = java::object(env, status);
           });
  }

  void frameworkMessage(
      SchedulerDriver* self,
      const mesos::ExecutorID& executorId,
      const mesos::SlaveID& slaveId,
      const string& data) override
  {
    notify(self, "frameworkMessage",
           "(Lorg/apache/mesos/SchedulerDriver;"
           "Lorg/apache/mesos/Protos$ExecutorID;"
           "Lorg/apache/mesos/Protos$SlaveID;[B)V",
           [&](JNIEnv* env, jvalue* arguments) {
             arguments[0].l = java::object(env, executorId);
             arguments[1].l = java::object(env, slaveId);
             arguments[2].l = java::object(env, data);
           });
  }

  void slaveLost(SchedulerDriver* self, const mesos::SlaveID& slaveId) override
  {
    notify(self, "slaveLost",
           "(Lorg/apache/mesos/SchedulerDriver;"
           "Lorg/apache/mesos/Protos$SlaveID;)V",
           [&](JNIEnv* env, jvalue* arguments) {
             arguments[0].l = java::object(env, slaveId);
           });
  }

  void executorLost(
      SchedulerDriver* self,
      const mesos::ExecutorID& executorId,
      const mesos::SlaveID& slaveId,
      int status) override
  {
    notify(self, "executorLost",
           "(Lorg/apache/mesos/SchedulerDriver;"
           "Lorg/apache/mesos/Protos$ExecutorID;"
           "Lorg/apache/mesos/Protos$SlaveID;I)V",
           [&](JNIEnv* env, jvalue* arguments) {
             arguments[0].l = java::object(env, executorId);
             arguments[1].l = java::object(env, slaveId);
             arguments[2].i = status;
           });
  }

  void error(SchedulerDriver* self, const string& message) override
  {
    notify(self, "error",
           "(Lorg/apache/mesos/SchedulerDriver;Ljava/lang/String;)V",
           [&](JNIEnv* env, jvalue* arguments) {
             arguments[0].l = java::string(env, message);
           });
  }

private:
  // Calls scheduler.METHOD(driver, ...), whose remaining arguments `prepare`
  // makes.  An exception aborts the driver.
  template <typename Prepare>
  void notify(
      SchedulerDriver* self,
      const char* method,
      const char* signature,
      Prepare prepare)
  {
    const java::Environment environment(jvm);
    JNIEnv* env = environment.get();
    jobject target = env == nullptr ? nullptr : env->NewLocalRef(driver);
    if (target == nullptr) {
      return; // There is no one left to tell.
    }

    try {
      jobject scheduler = java::get(
          env, target, "scheduler", "Lorg/apache/mesos/Scheduler;");
      const jmethodID id = env->GetMethodID(schedulerClass, method, signature);
      java::check(env);

      jvalue arguments[4];
      arguments[0].l = target;
      prepare(env, arguments + 1);
      env->CallVoidMethodA(scheduler, id, arguments);
      java::check(env);
    } catch (const java::PendingException&) {
      env->ExceptionDescribe();
      env->ExceptionClear();
      reinterpret_cast<MesosSchedulerDriver*>(self)->abort();
    }
  }

  const jweak driver;
};


// Creates what the Java driver's fields ask for.
MesosSchedulerDriver* createDriver(
    JNIEnv* env, jobject self, mesos::Scheduler* scheduler)
{
  const auto framework = java::message<mesos::FrameworkInfo>(
      env,
      java::get(env, self, "framework",
                "Lorg/apache/mesos/Protos$FrameworkInfo;"));
  const string master =
    java::text(env, java::get(env, self, "master", "Ljava/lang/String;"));
  const bool implicit = env->GetBooleanField(
      self, java::field(env, self, "implicitAcknowledgements", "Z"));
  jobject credential = java::get(
      env, self, "credential", "Lorg/apache/mesos/Protos$Credential;");

  return credential == nullptr
    ? new MesosSchedulerDriver(scheduler, framework, {}, master, implicit)
    : new MesosSchedulerDriver(
          scheduler, framework, {}, master, implicit,
          java::message<mesos::Credential>(env, credential));
}


// The Java driver keeps the addresses of the native objects in two fields.
template <typename T>
T* getPointer(JNIEnv* env, jobject self, const char* name)
{
  return reinterpret_cast<T*>(
      env->GetLongField(self, java::field(env, self, name, "J")));
}


void setPointer(JNIEnv* env, jobject self, const char* name, void* pointer)
{
  env->SetLongField(
      self,
      java::field(env, self, name, "J"),
      reinterpret_cast<jlong>(pointer));
}


// Runs a native method that calls the native driver.
template <typename Method>
jobject with(JNIEnv* env, jobject self, Method method)
{
  try {
    auto* driver = getPointer<MesosSchedulerDriver>(env, self, "__driver");
    if (driver == nullptr) {
      java::raise(env, "java/lang/IllegalStateException", "no native driver");
    }
    const Status status = method(*driver);
    return env->CallStaticObjectMethod(
        statusClass, statusValueOf, static_cast<jint>(status));
  } catch (const java::PendingException&) {
    return nullptr;
  }
}


jclass globalClass(JNIEnv* env, const char* name)
{
  jclass clazz = env->FindClass(name);
  java::check(env);
  return static_cast<jclass>(env->NewGlobalRef(clazz));
}

} // namespace {


// Called in the context of MesosNativeLibrary's class loader, in which FindClass
// finds the classes of the Mesos jar wherever that was loaded from.
extern "C" JNIEXPORT jint JNICALL JNI_OnLoad(JavaVM* vm, void*)
{
  jvm = vm;
  JNIEnv* env = nullptr;
  if (vm->GetEnv(reinterpret_cast<void**>(&env), JNI_VERSION_1_6) != JNI_OK) {
    return JNI_ERR;
  }

  try {
    schedulerClass = globalClass(env, "org/apache/mesos/Scheduler");
    statusClass = globalClass(env, "org/apache/mesos/Protos$Status");
    statusValueOf = env->GetStaticMethodID(
        statusClass, "valueOf", "(I)Lorg/apache/mesos/Protos$Status;");
    java::check(env);

    java::MessageClass<mesos::ExecutorID>::load(env, "ExecutorID");
    java::MessageClass<mesos::FrameworkID>::load(env, "FrameworkID");
    java::MessageClass<mesos::MasterInfo>::load(env, "MasterInfo");
    java::MessageClass<mesos::Offer>::load(env, "Offer");
    java::MessageClass<mesos::OfferID>::load(env, "OfferID");
    java::MessageClass<mesos::SlaveID>::load(env, "SlaveID");
    java::MessageClass<mesos::TaskStatus>::load(env, "TaskStatus");
  } catch (const java::PendingException&) {
    return JNI_ERR;
  }
  return JNI_VERSION_1_6;
}


#define NATIVE(Result, name) \
  extern "C" JNIEXPORT Result JNICALL \
  Java_org_apache_mesos_MesosSchedulerDriver_##name

NATIVE(void, initialize)(JNIEnv* env, jobject self)
{
  auto* scheduler = new JavaScheduler(env, self);
  try {
    setPointer(env, self, "__driver", createDriver(env, self, scheduler));
    setPointer(env, self, "__scheduler", scheduler);
  } catch (const java::PendingException&) {
    scheduler->release(env);
    delete scheduler;
  }
}


NATIVE(void, finalize)(JNIEnv* env, jobject self)
{
  try {
    // The driver's destructor waits for callbacks to end.
    delete getPointer<MesosSchedulerDriver>(env, self, "__driver");
    auto* scheduler = getPointer<JavaScheduler>(env, self, "__scheduler");
    if (scheduler != nullptr) {
      scheduler->release(env);
      delete scheduler;
    }
    setPointer(env, self, "__driver", nullptr);
    setPointer(env, self, "__scheduler", nullptr);
  } catch (const java::PendingException&) {
    // The JVM ignores what finalizers throw.
  }
}


NATIVE(jobject, start)(JNIEnv* env, jobject self)
{
  return with(env, self, [](MesosSchedulerDriver& driver) {
    return driver.start();
  });
}


NATIVE(jobject, stop)(JNIEnv* env, jobject self, jboolean failover)
{
  return with(env, self, [&](MesosSchedulerDriver& driver) {
    return driver.stop(failover);
  });
}


NATIVE(jobject, abort)(JNIEnv* env, jobject self)
{
  return with(env, self, [](MesosSchedulerDriver& driver) {
    return driver.abort();
  });
}


NATIVE(jobject, join)(JNIEnv* env, jobject self)
{
  return with(env, self, [](MesosSchedulerDriver& driver) {
    return driver.join();
  });
}


NATIVE(jobject, requestResources)(JNIEnv* env, jobject self, jobject requests)
{
  return with(env, self, [&](MesosSchedulerDriver& driver) {
    return driver.requestResources(
        java::messages<mesos::Request>(env, requests));
  });
}


// launchTasks(OfferID, Collection, Filters); JNI prescribes the name.
NATIVE(
    jobject,
    launchTasks__Lorg_apache_mesos_Protos_00024OfferID_2Ljava_util_Collection_2Lorg_apache_mesos_Protos_00024Filters_2)(
    JNIEnv* env, jobject self, jobject offerId, jobject tasks, jobject filters)
{
  return with(env, self, [&](MesosSchedulerDriver& driver) {
    return driver.launchTasks(
        java::message<mesos::OfferID>(env, offerId),
        java::messages<mesos::TaskInfo>(env, tasks),
        java::message<mesos::Filters>(env, filters));
  });
}


// launchTasks(Collection, Collection, Filters); JNI prescribes the name.
NATIVE(
    jobject,
    launchTasks__Ljava_util_Collection_2Ljava_util_Collection_2Lorg_apache_mesos_Protos_00024Filters_2)(
    JNIEnv* env, jobject self, jobject offerIds, jobject tasks, jobject filters)
{
  return with(env, self, [&](MesosSchedulerDriver& driver) {
    return driver.launchTasks(
        java::messages<mesos::OfferID>(env, offerIds),
        java::messages<mesos::TaskInfo>(env, tasks),
        java::message<mesos::Filters>(env, filters));
  });
}


NATIVE(jobject, killTask)(JNIEnv* env, jobject self, jobject taskId)
{
  return with(env, self, [&](MesosSchedulerDriver& driver) {
    return driver.killTask(java::message<mesos::TaskID>(env, taskId));
  });
}


NATIVE(jobject, acceptOffers)(
    JNIEnv* env,
    jobject self,
    jobject offerIds,
    jobject operations,
    jobject filters)
{
  return with(env, self, [&](MesosSchedulerDriver& driver) {
    return driver.acceptOffers(
        java::messages<mesos::OfferID>(env, offerIds),
        java::messages<mesos::Offer_Operation>(env, operations),
        java::message<mesos::Filters>(env, filters));
  });
}


NATIVE(jobject, declineOffer)(
    JNIEnv* env, jobject self, jobject offerId, jobject filters)
{
  return with(env, self, [&](MesosSchedulerDriver& driver) {
    return driver.declineOffer(
        java::message<mesos::OfferID>(env, offerId),
        java::message<mesos::Filters>(env, filters));
  });
}


NATIVE(jobject, reviveOffers)(JNIEnv* env, jobject self)
{
  return with(env, self, [](MesosSchedulerDriver& driver) {
    return driver.reviveOffers();
  });
}


NATIVE(jobject, suppressOffers)(JNIEnv* env, jobject self)
{
  return with(env, self, [](MesosSchedulerDriver& driver) {
    return driver.suppressOffers();
  });
}


NATIVE(jobject, acknowledgeStatusUpdate)(
    JNIEnv* env, jobject self, jobject status)
{
  return with(env, self, [&](MesosSchedulerDriver& driver) {
    return driver.acknowledgeStatusUpdate(
        java::message<mesos::TaskStatus>(env, status));
  });
}


NATIVE(jobject, sendFrameworkMessage)(
    JNIEnv* env,
    jobject self,
    jobject executorId,
    jobject slaveId,
    jbyteArray data)
{
  return with(env, self, [&](MesosSchedulerDriver& driver) {
    return driver.sendFrameworkMessage(
        java::message<mesos::ExecutorID>(env, executorId),
        java::message<mesos::SlaveID>(env, slaveId),
        java::bytes(env, data));
  });
}


NATIVE(jobject, reconcileTasks)(JNIEnv* env, jobject self, jobject statuses)
{
  return with(env, self, [&](MesosSchedulerDriver& driver) {
    return driver.reconcileTasks(
        java::messages<mesos::TaskStatus>(env, statuses));
  });
}


// MesosNativeLibrary.version()
extern "C" JNIEXPORT jobject JNICALL
Java_org_apache_mesos_MesosNativeLibrary__1version(JNIEnv* env, jclass)
{
  jclass clazz = env->FindClass("org/apache/mesos/MesosNativeLibrary$Version");
  if (clazz == nullptr) {
    return nullptr;
  }
  return env->NewObject(
      clazz,
      env->GetMethodID(clazz, "<init>", "(JJJ)V"),
      jlong(1), jlong(11), jlong(0));
}
