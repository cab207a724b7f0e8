-- Tables, indexes and queries in memory; a statement is left running state in caches. Then the
-- shell that sqlite3 starts sends its parent the signal on which the witness stops it.
create table customer(id integer primary key, name text, city text, balance real);
create table orders(id integer primary key, customer integer, item text, amount integer);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
insert into customer select i, 'customer ' || i, 'city ' || (i % 97), i * 1.5 from n;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 60000)
insert into orders select i, i % 20000, 'item ' || hex(randomblob(i % 20)), i % 50 from n;
create index customer_city on customer(city, balance);
create index order_customer on orders(customer);
delete from orders where id % 3 = 0;
select c.city, count(*), sum(o.amount) from customer c join orders o on o.customer = c.id
 group by c.city order by 3 desc limit 10;
update customer set name = upper(name) where id % 7 = 0;
create view rich as select * from customer where balance > 20000;
select count(*), group_concat(name) from rich where id % 100 = 1;
.shell kill -USR2 $PPID
