objects = a.o b.o
all: prog
prog: $(objects)
%.o: %.c
	cc -c $<
