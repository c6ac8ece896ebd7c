"""The HTTP edge and the worker of Fila Viva: stateless functions that enqueue jobs and drain queues."""
