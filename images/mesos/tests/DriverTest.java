import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;

import org.apache.mesos.MesosNativeLibrary;
import org.apache.mesos.MesosSchedulerDriver;
import org.apache.mesos.Protos.CommandInfo;
import org.apache.mesos.Protos.ExecutorID;
import org.apache.mesos.Protos.Filters;
import org.apache.mesos.Protos.FrameworkID;
import org.apache.mesos.Protos.FrameworkInfo;
import org.apache.mesos.Protos.MasterInfo;
import org.apache.mesos.Protos.Offer;
import org.apache.mesos.Protos.OfferID;
import org.apache.mesos.Protos.Resource;
import org.apache.mesos.Protos.SlaveID;
import org.apache.mesos.Protos.Status;
import org.apache.mesos.Protos.TaskID;
import org.apache.mesos.Protos.TaskInfo;
import org.apache.mesos.Protos.TaskState;
import org.apache.mesos.Protos.TaskStatus;
import org.apache.mesos.Protos.Value;
import org.apache.mesos.Scheduler;
import org.apache.mesos.SchedulerDriver;

/** A framework on the JVM: {@code java DriverTest MASTER SCENARIO}; fails by an exception. test_jvm.py runs it. */
public final class DriverTest {
  private static final long PATIENCE_NANOS = 60_000_000_000L;
  private static final FrameworkInfo FRAMEWORK = FrameworkInfo.newBuilder().setUser("root").setName("jvm-test").build();
  private static final Filters FILTERS = Filters.newBuilder().setRefuseSeconds(0.2).build();

  /** Notes all callbacks, and launches two tasks per offer, by each of the three ways in turn. */
  private static class Recorder implements Scheduler {
    private final List<String> calls = Collections.synchronizedList(new ArrayList<>());
    private final AtomicInteger launched = new AtomicInteger();
    private final int tasks;
    private final boolean acknowledges;

    Recorder(int tasks, boolean acknowledges) {
      this.tasks = tasks;
      this.acknowledges = acknowledges;
    }

    @Override
    public void registered(SchedulerDriver driver, FrameworkID id, MasterInfo master) {
      calls.add("registered " + id.getValue() + " with port " + master.getPort());
    }

    @Override
    public void reregistered(SchedulerDriver driver, MasterInfo master) {
      calls.add("reregistered");
    }

    @Override
    public void disconnected(SchedulerDriver driver) {
      calls.add("disconnected");
    }

    @Override
    public void offerRescinded(SchedulerDriver driver, OfferID id) {
      calls.add("rescinded " + id.getValue());
    }

    @Override
    public void frameworkMessage(SchedulerDriver driver, ExecutorID executor, SlaveID agent, byte[] data) {
      calls.add("message of " + data.length + " bytes");
    }

    @Override
    public void slaveLost(SchedulerDriver driver, SlaveID agent) {
      calls.add("lost agent " + agent.getValue());
    }

    @Override
    public void executorLost(SchedulerDriver driver, ExecutorID executor, SlaveID agent, int status) {
      calls.add("lost executor " + executor.getValue());
    }

    @Override
    public void error(SchedulerDriver driver, String message) {
      calls.add("error: " + message);
    }

    @Override
    public void resourceOffers(SchedulerDriver driver, List<Offer> offers) {
      for (Offer offer : offers) {
        calls.add("offer of " + offer.getResourcesCount() + " resources");
        List<TaskInfo> infos = new ArrayList<>();
        while (launched.get() < tasks && infos.size() < 2) {
          infos.add(task("t" + launched.incrementAndGet(), offer));
        }
        Collection<OfferID> ids = Collections.singletonList(offer.getId());
        if (infos.isEmpty()) {
          driver.declineOffer(offer.getId(), FILTERS);
        } else if (launched.get() <= 2) {
          driver.launchTasks(offer.getId(), infos, FILTERS);
        } else if (launched.get() <= 4) {
          driver.launchTasks(ids, infos, FILTERS);
        } else {
          Offer.Operation.Launch launch = Offer.Operation.Launch.newBuilder().addAllTaskInfos(infos).build();
          Offer.Operation operation =
              Offer.Operation.newBuilder().setType(Offer.Operation.Type.LAUNCH).setLaunch(launch).build();
          driver.acceptOffers(ids, Collections.singletonList(operation), FILTERS);
        }
      }
    }

    @Override
    public void statusUpdate(SchedulerDriver driver, TaskStatus status) {
      calls.add(status.getTaskId().getValue() + " " + status.getState());
      if (acknowledges) {
        driver.acknowledgeStatusUpdate(status);
      }
    }

    private static TaskInfo task(String id, Offer offer) {
      return TaskInfo.newBuilder()
          .setName("Aufgabe für " + id)
          .setTaskId(taskId(id))
          .setSlaveId(offer.getSlaveId())
          .addResources(scalar("cpus", 0.1))
          .addResources(scalar("mem", 32))
          .setCommand(CommandInfo.newBuilder().setValue("true"))
          .build();
    }

    private static Resource scalar(String name, double value) {
      return Resource.newBuilder()
          .setName(name)
          .setType(Value.Type.SCALAR)
          .setScalar(Value.Scalar.newBuilder().setValue(value))
          .build();
    }

    long count(String what) {
      synchronized (calls) {
        return calls.stream().filter(call -> call.contains(what)).count();
      }
    }

    void await(String what, long count) throws InterruptedException {
      waitFor(() -> count(what) >= count, count + " times " + what + " in " + calls);
    }
  }

  private DriverTest() {}

  private static TaskID taskId(String id) {
    return TaskID.newBuilder().setValue(id).build();
  }

  private static void expect(boolean condition, String what) {
    if (!condition) {
      throw new AssertionError(what);
    }
  }

  private static void waitFor(BooleanSupplier condition, String what) throws InterruptedException {
    long deadline = System.nanoTime() + PATIENCE_NANOS;
    while (!condition.getAsBoolean()) {
      expect(System.nanoTime() < deadline, what + ": not in time");
      Thread.sleep(20);
    }
  }

  private static void callEverything(String master, boolean acknowledges) throws InterruptedException {
    Recorder recorder = new Recorder(6, acknowledges);
    MesosSchedulerDriver driver = new MesosSchedulerDriver(recorder, FRAMEWORK, master, !acknowledges);
    expect(driver.start() == Status.DRIVER_RUNNING, "start");
    recorder.await("TASK_FINISHED", 6);
    expect(recorder.count("registered ") == 1, "registered once: " + recorder.calls);
    expect(recorder.count("TASK_RUNNING") >= 6, "every task ran: " + recorder.calls);

    expect(driver.requestResources(Collections.emptyList()) == Status.DRIVER_RUNNING, "requestResources");
    expect(driver.suppressOffers() == Status.DRIVER_RUNNING, "suppressOffers");
    expect(driver.reviveOffers() == Status.DRIVER_RUNNING, "reviveOffers");
    expect(driver.killTask(taskId("unknown")) == Status.DRIVER_RUNNING, "killTask");
    recorder.await("unknown TASK_LOST", 1);
    TaskStatus gone = TaskStatus.newBuilder().setTaskId(taskId("gone")).setState(TaskState.TASK_RUNNING).build();
    expect(driver.reconcileTasks(Collections.singletonList(gone)) == Status.DRIVER_RUNNING, "reconcileTasks");
    recorder.await("gone TASK_LOST", 1);
    ExecutorID executor = ExecutorID.newBuilder().setValue("executor").build();
    SlaveID agent = SlaveID.newBuilder().setValue("agent").build();
    Status sent = driver.sendFrameworkMessage(executor, agent, new byte[] {0, 1, -1});
    expect(sent == Status.DRIVER_RUNNING, "sendFrameworkMessage");
    try {
      driver.killTask(null);
      throw new AssertionError("null was taken for a task's ID");
    } catch (NullPointerException expected) {
      // As the contract of Java has it, and the driver lives.
    }

    expect(driver.stop() == Status.DRIVER_STOPPED, "stop");
    expect(driver.join() == Status.DRIVER_STOPPED, "join");
  }

  private static void readVersion() throws ReflectiveOperationException {
    // The public version() fails with every library, as it never notes that it has loaded one.
    MesosNativeLibrary.load();
    java.lang.reflect.Method method = MesosNativeLibrary.class.getDeclaredMethod("_version");
    method.setAccessible(true);
    MesosNativeLibrary.Version version = (MesosNativeLibrary.Version) method.invoke(null);
    expect(version.major == 1 && version.minor == 11 && version.patch == 0, "1.11.0, not " + version);
  }

  private static void nameNoMaster() {
    Recorder recorder = new Recorder(0, false);
    MesosSchedulerDriver driver = new MesosSchedulerDriver(recorder, FRAMEWORK, "zk://nonsense");
    expect(driver.run() == Status.DRIVER_ABORTED, "run");
    expect(recorder.count("error: ") == 1, "one error: " + recorder.calls);
  }

  private static void throwInCallback(String master) {
    Recorder recorder = new Recorder(0, false) {
      @Override
      public void registered(SchedulerDriver driver, FrameworkID id, MasterInfo info) {
        throw new IllegalStateException("on purpose");
      }
    };
    MesosSchedulerDriver driver = new MesosSchedulerDriver(recorder, FRAMEWORK, master);
    expect(driver.run() == Status.DRIVER_ABORTED, "run");
    driver.stop();
  }

  private static void dropDrivers(String master) throws InterruptedException {
    List<java.lang.ref.WeakReference<MesosSchedulerDriver>> dropped = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      MesosSchedulerDriver driver = new MesosSchedulerDriver(new Recorder(0, false), FRAMEWORK, master);
      driver.start();
      if (i % 2 == 0) {
        driver.stop();
      }
      dropped.add(new java.lang.ref.WeakReference<>(driver));
    }
    waitFor(() -> {
      System.gc();
      System.runFinalization();
      return dropped.stream().allMatch(reference -> reference.get() == null);
    }, "all drivers are collected");
  }

  public static void main(String[] arguments) throws Exception {
    String master = arguments[0];
    switch (arguments[1]) {
      case "implicit-acknowledgements" -> callEverything(master, false);
      case "explicit-acknowledgements" -> callEverything(master, true);
      case "version" -> readVersion();
      case "invalid-master" -> nameNoMaster();
      case "exception-in-callback" -> throwInCallback(master);
      case "dropped-drivers" -> dropDrivers(master);
      default -> throw new IllegalArgumentException("No such scenario: " + arguments[1]);
    }
  }
}
